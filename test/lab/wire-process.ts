import { readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { setPriority } from 'node:os';
import { inNetworkNamespace } from '../../src/linux/namespace.ts';
import { networkNamespaceName, processesIn } from './linux/namespace.ts';
import { Poll } from './linux/poll.ts';
import { PacketIo } from './linux/tun.ts';
import { type Answer, Lines, type Message, type NumberedRequest, type Request } from './control.ts';
import { Line } from './line.ts';
import { Loss } from './loss.ts';
import { PacketPool, type TravellingPacket } from './packet-queue.ts';
import type { Direction, Shape } from './rule.ts';
import { Rules } from './rules.ts';
import { makeHost, type WiredHost } from './wired-host.ts';

// The process that is the wire. Both hosts' namespaces exist only through its descriptors and through the processes in
// them, which it ends when its standard input closes, as it does when the test ends in whatever way: nothing is left.

const CONTROL = 0;
const REPORT = 1;

const hosts = makeHosts();
const rules = new Rules<TravellingPacket>((id, packet) => tell({ tell: 'acted', id, packet }));
const shared = { io: new PacketIo(), pool: new PacketPool(), rules };
const toServer = new Line('to server', hosts.client.tun, hosts.server.tun, shared);
const toClient = new Line('to client', hosts.server.tun, hosts.client.tun, shared);
const lines = new Lines();
const input = Buffer.alloc(65_536);
let loss = 0;
let seed = 1;

// A network does not wait for a processor, and the programs under test are two processors' worth of load.
setPriority(-10);
tell({ tell: 'ready', client: hosts.client, server: hosts.server });
carry();

function makeHosts(): { readonly client: WiredHost; readonly server: WiredHost } {
  try {
    return { client: makeHost('10.77.0.1', 'fd77::1'), server: makeHost('10.77.0.2', 'fd77::2') };
  } catch (error) {
    tell({ tell: 'impossible', reason: messageOf(error) });
    process.exit(1);
  }
}

function carry(): never {
  const poll = new Poll([CONTROL, hosts.client.tun, hosts.server.tun]);
  for (;;) {
    poll.wait(Math.min(toServer.nextDue, toClient.nextDue) - performance.now());
    if (poll.isReady(0)) obey();
    const now = performance.now();
    if (poll.isReady(1)) toServer.accept(now);
    if (poll.isReady(2)) toClient.accept(now);
    toServer.deliver(now);
    toClient.deliver(now);
  }
}

function obey(): void {
  for (const line of lines.of(readControl())) {
    const request: NumberedRequest = JSON.parse(line);
    try {
      tell({ tell: 'answer', number: request.number, answer: answer(request) });
    } catch (error) {
      tell({ tell: 'refusal', number: request.number, reason: messageOf(error) });
    }
  }
}

function answer(request: Request): Answer {
  switch (request.ask) {
    case 'shape':
      return shape(request.shape);
    case 'rule':
      rules.add(request.id, request.rule);
      return null;
    case 'release':
      return release(rules.takeHeld(request.id));
    case 'remove':
      return release(rules.remove(request.id));
    case 'drop':
      return drop(rules.takeHeld(request.id));
    case 'stats':
      return stats();
    case 'read':
      return inNetworkNamespace(hosts[request.host].descriptor, () => readFileSync(request.path, 'utf8'));
    case 'write':
      inNetworkNamespace(hosts[request.host].descriptor, () => writeFileSync(request.path, request.text));
      return null;
  }
}

function shape(wanted: Shape): null {
  toServer.delay = toClient.delay = wanted.delay ?? toServer.delay;
  if (wanted.loss === undefined && wanted.seed === undefined) return null;
  loss = wanted.loss ?? loss;
  seed = wanted.seed ?? seed;
  toServer.loss = new Loss(loss, seed);
  toClient.loss = new Loss(loss, ~seed);
  return null;
}

function release({ direction, packets }: { direction: Direction; packets: readonly TravellingPacket[] }): null {
  for (const packet of packets) lineOf(direction).handOver(packet);
  return null;
}

function drop({ direction, packets }: { direction: Direction; packets: readonly TravellingPacket[] }): null {
  for (const packet of packets) lineOf(direction).drop(packet);
  return null;
}

function stats(): Answer {
  const [there, back] = [toServer.stats, toClient.stats];
  return {
    carried: there.carried + back.carried,
    dropped: there.dropped + back.dropped,
    toServer: there,
    toClient: back,
  };
}

function lineOf(direction: Direction): Line {
  return direction === 'to server' ? toServer : toClient;
}

function readControl(): Buffer {
  try {
    const length = readSync(CONTROL, input);
    if (length > 0) return input.subarray(0, length);
  } catch {
    // Whoever was at the other end died without reading what we had told.
  }
  end();
}

function tell(message: Message): void {
  try {
    writeSync(REPORT, `${JSON.stringify(message)}\n`);
  } catch {
    end();
  }
}

/** Ends what still runs in the namespaces, which only this lab can have started, and then this process. */
function end(): never {
  const names = [hosts.client, hosts.server].map(({ descriptor }) => networkNamespaceName(descriptor));
  const nothing = new Poll([]);
  const limit = performance.now() + 5_000;
  // Again and again, because a process may have begun another one just before it was killed.
  for (let left = processesIn(names); left.length > 0 && performance.now() < limit; left = processesIn(names)) {
    for (const pid of left) kill(pid);
    nothing.wait(1);
  }
  process.exit(0);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
