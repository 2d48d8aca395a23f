import { spawnSync } from 'node:child_process';
import { needsPrograms } from '../harness/needs.ts';
import { within } from '../harness/wait.ts';
import type { Message } from './control.ts';
import { Host } from './host.ts';
import type { Shape } from './rule.ts';
import { Wire } from './wire.ts';
import { WireControl, wireProgram } from './wire-control.ts';

export type { AppliedRule } from './applied-rule.ts';
export type { ForkOptions, Host } from './host.ts';
export type { Direction, LineStats, PacketKind, PacketSeen, Rule, Shape, WireStats } from './rule.ts';
export type { Wire } from './wire.ts';

/** Two hosts and the wire between them. */
export interface Lab extends AsyncDisposable {
  readonly client: Host;
  readonly server: Host;
  readonly wire: Wire;
  /** Ends every process on both hosts and the wire, and waits for them. Nothing of the lab is left. */
  close(): Promise<void>;
}

/** Why there can be no lab here, for the `skip` option of a test; false where there can. Found out by making one. */
export const labMissing: string | false = findMissing();

/** Opens a lab: default no delay, no loss, seed 1. */
export async function openLab(options: Shape = {}): Promise<Lab> {
  const control = new WireControl();
  const hosts = await within('the hosts of a lab', control.ready);
  const client = new Host('client', hosts.client, control);
  const server = new Host('server', hosts.server, control);
  const wire = new Wire(control);
  await wire.shape({ seed: 1, ...options });
  const close = async (): Promise<void> => {
    await Promise.all([client.killAll(), server.killAll(), control.close()]);
  };
  return { client, server, wire, close, [Symbol.asyncDispose]: close };
}

function findMissing(): string | false {
  const lacking = needsPrograms('nsenter');
  if (lacking !== false) return lacking;
  // Its standard input is at its end: the wire process makes its hosts, says so, and ends.
  const trial = spawnSync(process.execPath, [wireProgram], { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  const [line = ''] = trial.stdout.split('\n', 1);
  const message: Message = line === '' ? { tell: 'impossible', reason: trial.stderr.trim() } : JSON.parse(line);
  return message.tell === 'ready'
    ? false
    : `needs network namespaces and a TUN device (${message.tell === 'impossible' ? message.reason : line})`;
}
