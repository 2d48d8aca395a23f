import { bringUp, ipv6AddressesAreReady, setIpv4Address, setIpv6Address, setQueueLength } from './linux/interface.ts';
import { createNetworkNamespace } from './linux/namespace.ts';
import { Poll } from './linux/poll.ts';
import { openTun } from './linux/tun.ts';
import type { HostFacts } from './control.ts';

/** A host as the wire process knows it: its namespace and the end of its wire, both descriptors of ours. */
export interface WiredHost extends HostFacts {
  readonly tun: number;
}

const INTERFACE = 'wire0';
// A thousand clients that start together must not lose a SYN before the wire has even seen it.
const QUEUE = 10_000;

/** Makes a network namespace with a loopback and a TUN, both up, and leaves this thread in it. */
export function makeHost(ipv4: string, ipv6: string): WiredHost {
  const descriptor = createNetworkNamespace();
  const tun = openTun(INTERFACE);
  setQueueLength(INTERFACE, QUEUE);
  bringUp('lo');
  bringUp(INTERFACE);
  setIpv4Address(INTERFACE, ipv4, 24);
  setIpv6Address(INTERFACE, ipv6, 64);
  waitForIpv6();
  return { ipv4, ipv6, descriptor, tun };
}

// A TUN knows no neighbours and so no duplicate addresses; still the kernel clears the mark later, from a worker.
function waitForIpv6(): void {
  const nothing = new Poll([]);
  const limit = performance.now() + 2_000;
  while (!ipv6AddressesAreReady()) {
    if (performance.now() > limit) throw new Error('Expected an IPv6 address to be usable within 2 s');
    nothing.wait(1);
  }
}
