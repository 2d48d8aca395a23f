import { inspect } from 'node:util';
import type { CloseReport, ListenerReport } from '../../close/report.ts';
import type { LastCallError } from '../../errors.ts';
import { writeStderr } from './write-stderr.ts';

/** So many of those that were cut are named; the report has them all. */
const NAMED = 5;

/** What people should know of a stop, in a line each; nothing where all went well. */
export function lastWords({ connections, errors, listeners }: CloseReport): readonly string[] {
  const { atStart, fromQueues, cut } = connections;
  const named = cut.slice(0, NAMED).map(({ remote, protocol, reason }) => `${remote} (${protocol}, ${reason})`);
  const others = cut.length > NAMED ? `, and ${cut.length - NAMED} more` : '';
  const ofCut = `${cut.length} of ${atStart + fromQueues} connections cut: ${named.join(', ')}${others}`;
  return [...listeners.flatMap(describeGate), ...(cut.length > 0 ? [ofCut] : []), ...errors.map(describe)];
}

/** Where there can be one, its absence is a fault of the installation, most often a bundle without the FFI's binaries. */
function describeGate({ address, gate, reason }: ListenerReport): readonly string[] {
  const isAmiss = gate === 'none' && process.platform === 'linux';
  return isAmiss ? [`no gate could be shut at ${address}: ${reason}`] : [];
}

function describe({ message, cause }: LastCallError): string {
  return cause === undefined ? message : `${message}: ${inspect(cause)}`;
}

export function writeLastWords(lines: readonly string[]): void {
  for (const line of lines) writeStderr(`lastcall: ${line}\n`);
}
