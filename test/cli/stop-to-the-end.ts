import assert from 'node:assert/strict';
import type { StopReport } from '../../src/program/report.ts';
import { startLastcallBelow } from '../harness/lastcall-command.ts';
import type { Ended } from '../harness/processes.ts';

/** Runs `lastcall stop` below another command, to its end. */
export async function stopBelow(before: readonly string[], ...args: readonly string[]): Promise<Ended> {
  await using stopping = startLastcallBelow(before, ['stop', ...args]);
  return await stopping.ended;
}

/** Runs `lastcall stop` to its end. */
export async function stop(...args: readonly string[]): Promise<Ended> {
  return stopBelow([], ...args);
}

/** The report that `--json` printed. */
export function reportOf({ stdout, stderr }: Ended): StopReport {
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout);
}

export function assertEnded(ended: Ended, code: number, outcome: StopReport['outcome']): void {
  assert.deepEqual({ code: ended.code, outcome: reportOf(ended).outcome }, { code, outcome }, ended.stderr);
}
