import type { CloseReport } from '../../close/report.ts';

/** What a cluster's primary says to a worker. */
export type PrimaryTells =
  /** This primary stops its service well. */
  | { readonly kind: 'hello' }
  /** Stop: serve on, and ask for leave when it is time to close. `deadline`: milliseconds for all of it. */
  | { readonly kind: 'stop'; readonly reason: string; readonly deadline: number }
  /** Nobody is left in the queues, or others go on accepting: close. */
  | { readonly kind: 'leave' }
  /** It is known that you have closed: no connection is sent to you any more. */
  | { readonly kind: 'noted' };

/** What a worker says to its primary. */
export type WorkerTells =
  /** This worker stops well. */
  | { readonly kind: 'here' }
  /** It would close now. */
  | { readonly kind: 'asks' }
  /** It has closed; `exits`: it ends by itself. */
  | { readonly kind: 'closed'; readonly report: ReportOverChannel; readonly exits: boolean };

/** A report as JSON has it: of errors the messages. */
export interface ReportOverChannel extends Omit<CloseReport, 'errors'> {
  readonly errors: readonly string[];
}

export function isPrimaryTells(body: unknown): body is PrimaryTells {
  const { kind, reason, deadline }: Readonly<Record<string, unknown>> = Object(body);
  if (kind === 'stop') return typeof reason === 'string' && isTime(deadline);
  return kind === 'hello' || kind === 'leave' || kind === 'noted';
}

export function isWorkerTells(body: unknown): body is WorkerTells {
  const { kind, report, exits }: Readonly<Record<string, unknown>> = Object(body);
  if (kind === 'closed') return isReport(report) && typeof exits === 'boolean';
  return kind === 'here' || kind === 'asks';
}

function isTime(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && Number.isFinite(value);
}

/** Only what is added up and shown: it comes from a process of the same program, perhaps of another version of lastcall. */
function isReport(value: unknown): value is ReportOverChannel {
  const { connections, listeners, errors, duration }: Readonly<Record<string, unknown>> = Object(value);
  const { atStart, fromQueues, ended, lateRequests, farewells, cut }: Readonly<Record<string, unknown>> =
    Object(connections);
  const { said, answered, unanswered }: Readonly<Record<string, unknown>> = Object(farewells);
  const counts = [atStart, fromQueues, ended, lateRequests, said, answered, unanswered, duration];
  return counts.every(isTime) && [listeners, errors, cut].every(Array.isArray);
}
