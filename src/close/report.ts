import type { ConnectionsReport } from '../connection/accounts.ts';
import type { LastCallError } from '../errors.ts';
import type { Gate } from '../listener/gate/gate.ts';

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
  /** SYN cookies out when the wait for them began; 0 where there was no need to wait. */
  readonly cookies: number;
  /** Milliseconds from the start of the close until the listener was closed. */
  readonly closedAfter: number;
}

/** The last word on a close. */
export interface CloseReport {
  /** `forced`: something was cut. Abandoned handshakes and late requests alone do not make it so. */
  readonly outcome: 'complete' | 'forced';
  /** Milliseconds. */
  readonly duration: number;
  /** One for each listening socket; none for a server that did not listen. */
  readonly listeners: readonly ListenerReport[];
  readonly connections: ConnectionsReport;
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
      farewells: {
        said: sum((connections) => connections.farewells.said),
        answered: sum((connections) => connections.farewells.answered),
        unanswered: sum((connections) => connections.farewells.unanswered),
      },
      cut: reports.flatMap((report) => report.connections.cut),
    },
    errors: reports.flatMap((report) => report.errors),
  };
}
