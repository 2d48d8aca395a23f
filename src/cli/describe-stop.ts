import type { StopReport } from '../program/report.ts';
import { counted } from '../counted.ts';
import { alignTable } from './terminal/text.ts';

/** Describes a program's stop for people: a headline, a line for each listener, and the remarks. */
export function describeStop(report: StopReport): string {
  return [describeResult(report), ...remarksOn(report)].join('\n');
}

/** The headline, and a line for each listener. */
export function describeResult(report: StopReport): string {
  return [headline(report), ...listenerLines(report)].join('\n');
}

/** A line for each doubt, and for what could not be done. */
export function remarksOn({ doubts, notes }: StopReport): readonly string[] {
  return [...doubts.map((doubt) => `may be lost: ${doubt}`), ...notes.map((note) => `note: ${note}`)];
}

function headline({ outcome, duration, program, listeners, signalled }: StopReport): string {
  const waiting = listeners.reduce((sum, { queued, halfOpen }) => sum + queued + halfOpen, 0);
  const left = listeners.reduce((sum, listener) => sum + listener.left, 0);
  const what = {
    complete: 'stopped',
    forced: 'stopped, but clients were lost or may have been',
    killed: 'killed',
    'still running': 'still running',
  }[outcome];
  const served = waiting === 0 ? '' : `; ${counted(waiting, 'client')} waited, ${left} left unserved`;
  const sent = signalled === undefined ? '' : `, ${signalled.signal} after ${seconds(signalled.after)}`;
  return `${program.command}: ${what} in ${seconds(duration)}${sent}${served}`;
}

function listenerLines({ listeners }: StopReport): readonly string[] {
  if (listeners.length === 0) return [];
  const rows = listeners.map(({ address, gate, queued, halfOpen, left }) => [
    `  ${address}`,
    gate,
    `${queued} queued`,
    `${halfOpen} half-open`,
    `${left} left`,
  ]);
  return alignTable(rows).map((row, at) => {
    const reason = listeners[at]?.reason;
    return reason === undefined ? row : `${row}   ${reason}`;
  });
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(2)} s`;
}
