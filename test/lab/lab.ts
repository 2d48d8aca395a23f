import { spawnSync } from 'node:child_process';
import type { Message } from '../../src/wire/control.ts';
import { openWire, type WiredHosts } from '../../src/wire/open-wire.ts';
import { wireProgram } from '../../src/wire/wire-control.ts';
import { needsPrograms } from '../harness/needs.ts';

export type { AppliedRule } from '../../src/wire/rules/applied-rule.ts';
export type {
  Direction,
  LineStats,
  PacketKind,
  PacketSeen,
  Rule,
  Shape,
  WireStats,
} from '../../src/wire/rules/rule.ts';
export type { ForkOptions, Host } from '../../src/wire/host.ts';
export type { Wire } from '../../src/wire/wire.ts';

/** Two hosts and the wire between them. */
export type Lab = WiredHosts;

/** Why there can be no lab here, for the `skip` option of a test; false where there can. Found out by making one. */
export const labMissing: string | false = findMissing();

/** Opens a lab: default no delay, no loss, seed 1. */
export const openLab: typeof openWire = openWire;

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
