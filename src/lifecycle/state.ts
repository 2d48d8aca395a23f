import { type Channel, channel } from 'node:diagnostics_channel';

/** The states of a `lastCall`, in their order. */
export const LAST_CALL_STATES = ['serving', 'lame duck', 'closing', 'closed'] as const;

/** Where a `lastCall` is. */
export type LastCallState = (typeof LAST_CALL_STATES)[number];

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

/** The last state that a `lastCall` of this process published; undefined before the first one. */
export function currentState(): LastCallState | undefined {
  return lastState;
}

/** What happens to the process after the stop. With `may end` it ends when nothing keeps it alive (`exit: false`). */
export type ProcessEnd = 'goes on' | 'may end' | 'exits' | 'crashed';
