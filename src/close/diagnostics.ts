import { type Channel, channel } from 'node:diagnostics_channel';
import type { CloseReport, ListenerReport } from './report.ts';
import type { CutConnection, Protocol } from './report.ts';

/** The diagnostics channels of a close. */
export type Channels = Readonly<Record<'gate' | 'listener' | 'connection' | 'closed', Channel>>;

/**
 * The diagnostics channels of a close. The library never logs: a logger is a subscriber.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 * subscribe('lastcall:closed', (report) => console.log(report));
 * ```
 */
export const channels: Channels = {
  /** A gate was shut: `GateMessage`. */
  gate: channel('lastcall:gate'),
  /** A listener was closed: `ListenerReport`. */
  listener: channel('lastcall:listener'),
  /** A connection came to its end during a close: `ConnectionMessage`. */
  connection: channel('lastcall:connection'),
  /** A close is over: `CloseReport`. */
  closed: channel('lastcall:closed'),
};

/** What `lastcall:gate` carries, right after the gate shut: half-open connections are counted afterwards. */
export type GateMessage = Pick<ListenerReport, 'address' | 'gate' | 'reason' | 'queued' | 'cookies'>;

/** What `lastcall:connection` carries: `cut` is there if it was. */
export interface ConnectionMessage {
  readonly remote: string;
  readonly protocol: Protocol;
  readonly cut?: CutConnection;
}

/** What `lastcall:closed` carries. */
export type ClosedMessage = CloseReport;
