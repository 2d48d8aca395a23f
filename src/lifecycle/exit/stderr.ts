import { writeSync } from 'node:fs';
import { inspect } from 'node:util';
import type { CloseReport, ListenerReport } from '../../close/report.ts';
import type { LastCallError } from '../../errors.ts';

/** How many cut connections are named. The report has them all. */
const NAMED = 5;

/** A pipe that another process has made non-blocking may be full for a moment: how often to try again, and after how many ms. */
const TRIES = 20;
const WAIT = 5;

/** What people should know of a stop, a line each. Nothing if all went well. */
export function describeStop({ connections, doubts, errors, listeners }: CloseReport): readonly string[] {
  const { atStart, fromQueues, cut } = connections;
  const named = cut.slice(0, NAMED).map(({ remote, protocol, reason }) => `${remote} (${protocol}, ${reason})`);
  const others = cut.length > NAMED ? `, and ${cut.length - NAMED} more` : '';
  const ofCut = `${cut.length} of ${atStart + fromQueues} connections cut: ${named.join(', ')}${others}`;
  const ofConnections = cut.length > 0 ? [ofCut] : [];
  return [...listeners.flatMap(describeGate), ...ofConnections, ...doubts, ...errors.map(describeError)];
}

/** On Linux a missing gate is a fault of the installation, most often a bundle without the binaries of the FFI. */
function describeGate({ address, gate, reason }: ListenerReport): readonly string[] {
  const isFault = gate === 'none' && process.platform === 'linux';
  return isFault ? [`no gate could be shut at ${address}: ${reason}`] : [];
}

function describeError({ message, cause }: LastCallError): string {
  return cause === undefined ? message : `${message}: ${inspect(cause)}`;
}

export function printLines(...lines: readonly string[]): void {
  for (const line of lines) writeStderr(`lastcall: ${line}\n`);
}

/**
 * Writes to stderr synchronously, as Node does with its own last message. If no reader is left the text is lost without an
 * error: one on `process.stderr` would be uncaught, and would be written in turn.
 */
export function writeStderr(text: string): void {
  let left = Buffer.from(text);
  for (let tries = 0; left.length > 0 && tries < TRIES; tries += 1) {
    try {
      left = left.subarray(writeSync(2, left));
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT);
    }
  }
}
