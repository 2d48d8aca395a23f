import type { CloseReport } from '../../close/report.ts';

/** From a cluster's primary to a worker. */
export type PrimaryMessage =
  /** This primary has lastcall. */
  | { readonly kind: 'hello' }
  /** Stop: go on serving, and ask before you close. `deadline`: ms for all of it. */
  | { readonly kind: 'stop'; readonly reason: string; readonly deadline: number }
  /** Close: the queues are empty, or other workers go on accepting. */
  | { readonly kind: 'leave' }
  /** Your report has arrived: no connection is sent to you any more. */
  | { readonly kind: 'noted' };

/** From a worker to its primary. */
export type WorkerMessage =
  /** This worker has lastcall. */
  | { readonly kind: 'here' }
  /** May I close? */
  | { readonly kind: 'asks' }
  /** I have closed. `exits`: I exit by myself. */
  | { readonly kind: 'closed'; readonly report: ReportMessage; readonly exits: boolean };

/** A report in JSON: errors are reduced to their messages. */
export interface ReportMessage extends Omit<CloseReport, 'errors'> {
  readonly errors: readonly string[];
}

export function isPrimaryMessage(body: unknown): body is PrimaryMessage {
  const { kind, reason, deadline }: Readonly<Record<string, unknown>> = Object(body);
  if (kind === 'stop') return typeof reason === 'string' && isAmount(deadline);
  return kind === 'hello' || kind === 'leave' || kind === 'noted';
}

export function isWorkerMessage(body: unknown): body is WorkerMessage {
  const { kind, report, exits }: Readonly<Record<string, unknown>> = Object(body);
  if (kind === 'closed') return isReport(report) && typeof exits === 'boolean';
  return kind === 'here' || kind === 'asks';
}

function isAmount(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && Number.isFinite(value);
}

/** Checks what is added up and shown. The sender is a process of the same program, perhaps with another version of lastcall. */
function isReport(value: unknown): value is ReportMessage {
  const { connections, listeners, errors, duration }: Readonly<Record<string, unknown>> = Object(value);
  const { atStart, fromQueues, ended, lateRequests, eventStreams, farewells, cut }: Readonly<Record<string, unknown>> =
    Object(connections);
  const { said, answered, unanswered }: Readonly<Record<string, unknown>> = Object(farewells);
  const counts = [atStart, fromQueues, ended, lateRequests, eventStreams, said, answered, unanswered, duration];
  return counts.every(isAmount) && [listeners, errors, cut].every(Array.isArray);
}
