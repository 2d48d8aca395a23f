import type { LastCallError } from '../errors.ts';

/** What a connection speaks. `channel`: that of lastcall/channel; `raw`: TCP, TLS or a Unix socket with a protocol of the program's. */
export type Protocol = (typeof PROTOCOLS)[number];

/** All of them. */
export const PROTOCOLS = ['http/1.1', 'h2', 'websocket', 'channel', 'raw'] as const;

/**
 * How a listener's gate was shut, and what new clients meet: `refuse` ECONNREFUSED at once; `hold` silence, so that they
 * try again after 1 s; `unix` ECONNREFUSED, at a Unix socket; `shared` another process that holds the socket, which is left
 * as it is; `none` no gate: they are let in until the listener closes.
 */
export type Gate = 'refuse' | 'hold' | 'unix' | 'shared' | 'none';

/** What became of one listener. Times are in milliseconds since the close began. */
export interface ListenerReport {
  /** `127.0.0.1:8080`, `[::]:8080`, `[fe80::1%eth0]:8080`, `unix:/run/app.sock`, `unix:@abstract`. */
  readonly address: string;
  /** How the gate was shut. */
  readonly gate: Gate;
  /** Why no better gate; absent where the asked-for one was shut. */
  readonly reason?: string;
  /** Connections in the accept queue when the gate shut. */
  readonly queued: number;
  /** Handshakes under way when the gate shut. */
  readonly halfOpen: number;
  /** Handshakes that did not complete within `handshakeWait`. */
  readonly abandoned: number;
  /** Clients who were left in the queue of a shared listener when this process had closed its copy; 0 for any other. */
  readonly left: number;
  /** SYN cookies out when the wait for them began; 0 where there was no need to wait. */
  readonly cookies: number;
  /** Milliseconds from the start of the close until the listener was closed. */
  readonly closedAfter: number;
}

/** Every reason for which a connection was not brought to its end. */
export const CUT_REASONS = ['deadline', 'aborted', 'reset by peer', 'dropped', 'never accepted'] as const;
export type CutReason = (typeof CUT_REASONS)[number];

/** A connection that was not brought to its end. */
export interface CutConnection {
  /** `address:port`, `unix`, or `unknown` for one that was never accepted, or was reset as soon as it was. */
  readonly remote: string;
  readonly protocol: Protocol;
  /**
   * `deadline`, `aborted`, `reset by peer` before it had acknowledged everything, or, HTTP/2, with an error while streams
   * were open, `dropped` by the server's maxConnections,
   * or `never accepted`: the program never saw it.
   */
  readonly reason: CutReason;
  /** Bytes that the peer had not acknowledged. */
  readonly unacknowledged: number;
  /** HTTP/2: its streams that were open, and those that had ended in an error since the close began. Absent for other protocols. */
  readonly streams?: number;
}

/** The part of a report that is about connections: each is counted once, as ended or as cut. */
export interface ConnectionsReport {
  /** Open in the program when the close began. */
  readonly atStart: number;
  /** Came in after that, out of the kernel's queues, those included that were never accepted. */
  readonly fromQueues: number;
  /** Came to an end before the deadline, whichever side ended them. */
  readonly ended: number;
  /** Requests that came, or answers that were to be sent, after our last word; their clients got no answer. */
  readonly lateRequests: number;
  /** Event streams that were ended early, for their clients take them up again elsewhere. */
  readonly eventStreams: number;
  /**
   * Connections that got a farewell in their protocol (`Connection: close`, GOAWAY, WebSocket Close, a channel's GOODBYE, the
   * `farewell` option's words), and those of them whose client answered: in the protocol's own words where it has some, else
   * by ending its side. The others are `unanswered`.
   */
  readonly farewells: { readonly said: number; readonly answered: number; readonly unanswered: number };
  /** Those that were not brought to their end, each by name. */
  readonly cut: readonly CutConnection[];
}

/** The last word on a close. */
export interface CloseReport {
  /**
   * `forced`: something was cut, or must be feared to have been lost. Abandoned handshakes and late requests alone do not make it
   * so.
   */
  readonly outcome: 'complete' | 'forced';
  /** Milliseconds. */
  readonly duration: number;
  /** One for each listening socket; none for a server that did not listen. */
  readonly listeners: readonly ListenerReport[];
  readonly connections: ConnectionsReport;
  /** What may have been lost without a trace, a sentence each. */
  readonly doubts: readonly string[];
  /** Callbacks of the caller's that threw; each did no harm to the rest. */
  readonly errors: readonly LastCallError[];
}

/** Where a close is. */
export interface CloseProgress {
  /** The queues first; then, once all listeners are closed, the connections that are left. */
  readonly phase: 'draining queues' | 'ending connections';
  /** Milliseconds since the close began. */
  readonly elapsed: number;
  readonly queued: number;
  readonly halfOpen: number;
  /** Connections still open. */
  readonly open: number;
  readonly ended: number;
}

/** One report for several closes that a single call joined. */
export function mergeReports(reports: readonly CloseReport[]): CloseReport {
  const sum = (pick: (connections: ConnectionsReport) => number): number =>
    reports.reduce((total, report) => total + pick(report.connections), 0);
  return {
    outcome: reports.some((report) => report.outcome === 'forced') ? 'forced' : 'complete',
    duration: Math.max(0, ...reports.map((report) => report.duration)),
    listeners: reports.flatMap((report) => report.listeners),
    connections: {
      atStart: sum((connections) => connections.atStart),
      fromQueues: sum((connections) => connections.fromQueues),
      ended: sum((connections) => connections.ended),
      lateRequests: sum((connections) => connections.lateRequests),
      eventStreams: sum((connections) => connections.eventStreams),
      farewells: {
        said: sum((connections) => connections.farewells.said),
        answered: sum((connections) => connections.farewells.answered),
        unanswered: sum((connections) => connections.farewells.unanswered),
      },
      cut: reports.flatMap((report) => report.connections.cut),
    },
    doubts: [...new Set(reports.flatMap((report) => report.doubts))],
    errors: reports.flatMap((report) => report.errors),
  };
}

/** The same report with more that may have been lost. */
export function withDoubts(report: CloseReport, doubts: readonly string[]): CloseReport {
  if (doubts.length === 0) return report;
  return { ...report, outcome: 'forced', doubts: [...new Set([...report.doubts, ...doubts])] };
}
