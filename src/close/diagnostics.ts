import { type Channel, channel } from 'node:diagnostics_channel';
import type { CloseReport, ListenerReport } from './report.ts';
import type { CutConnection, Protocol } from './report.ts';

/** The diagnostics channels of a close. */
export type Channels = Readonly<Record<'gate' | 'listener' | 'connection' | 'closed', Channel>>;

/** Where a `lastCall` can be, in the order in which it goes through them. */
export const LAST_CALL_STATES = ['serving', 'lame duck', 'closing', 'closed'] as const;

/** Where a `lastCall` is. */
export type LastCallState = (typeof LAST_CALL_STATES)[number];

/**
 * All diagnostics channels of lastcall. The library never logs: a logger is a subscriber.
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

/** A `lastCall` has come into another state: `StateMessage`. */
export const stateChannel: Channel = channel('lastcall:state');

/** What `lastcall:state` carries. */
export interface StateMessage {
  readonly state: LastCallState;
  /** Why it stops: the signal's name, `uncaught error`, or what `close` was given. Absent while it serves. */
  readonly reason?: string;
}

let lastState: LastCallState | undefined;
stateChannel.subscribe((message) => {
  lastState = (message as StateMessage).state;
});

/** Where the `lastCall` of this process is, by what the channel has told; undefined where there is none. */
export function currentState(): LastCallState | undefined {
  return lastState;
}

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
