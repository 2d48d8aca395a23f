import { messageOf } from '../errors.ts';
import { within } from '../within.ts';
import { Host } from './host.ts';
import type { Shape } from './rules/rule.ts';
import { Wire } from './wire.ts';
import { WireControl } from './wire-control.ts';

/** Two hosts, which are network namespaces, and the wire between them. */
export interface WiredHosts extends AsyncDisposable {
  readonly client: Host;
  readonly server: Host;
  readonly wire: Wire;
  /** Ends every process on both hosts and the wire, and waits for them. Nothing is left. */
  close(): Promise<void>;
}

const WAYS_OUT =
  'Run it as root, or where a user may make user namespaces (user.max_user_namespaces above 0, and no policy against it); in a ' +
  'container with --cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun';

/**
 * Makes two hosts and the wire between them: default no delay, no loss, seed 1. As root, or in a user namespace of its own, where
 * no privileges are needed. Rejects where neither is possible, with what is missing and how to get it.
 */
export async function openWire(options: Shape = {}): Promise<WiredHosts> {
  const isRoot = process.getuid?.() === 0;
  const reasons: string[] = [];
  for (const asUser of isRoot ? [false, true] : [true]) {
    try {
      return await openAs(asUser, options);
    } catch (error) {
      reasons.push(messageOf(error));
    }
  }
  throw new Error(`A wire needs network namespaces and a TUN device (${reasons.join('; ')}). ${WAYS_OUT}`);
}

async function openAs(asUser: boolean, options: Shape): Promise<WiredHosts> {
  const control = new WireControl({ asUser });
  const hosts = await within('the hosts of a wire', control.ready);
  const client = new Host('client', hosts.client, control, asUser);
  const server = new Host('server', hosts.server, control, asUser);
  const wire = new Wire(control);
  await wire.shape({ seed: 1, ...options });
  const close = async (): Promise<void> => {
    await Promise.all([client.killAll(), server.killAll(), control.close()]);
  };
  return { client, server, wire, close, [Symbol.asyncDispose]: close };
}
