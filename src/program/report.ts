import type { HeldListener } from './find/find-listeners.ts';
import type { Gate } from '../close/report.ts';

/** The result of a program's stop. Times are in ms. */
export interface StopReport {
  /**
   * `complete`: the program ended by itself, and no client is known to have lost anything, or must be feared to. `forced`: the
   * program ended by itself, but clients were lost, or may have been (`doubts`). `killed`: it was still running at the deadline, and was killed. `still running`: it
   * is still running, and its gates are open again.
   */
  outcome: 'complete' | 'forced' | 'killed' | 'still running';
  /** What caused the stop: the name of a signal, or `lastcall stop`. */
  reason: string;
  duration: number;
  program: { pid: number; command: string; exitCode: number | undefined; signal: NodeJS.Signals | undefined };
  /** The stop signal, and when the program got it; undefined if it had ended before. */
  signalled: { signal: NodeJS.Signals; after: number } | undefined;
  listeners: ListenerReport[];
  /** Connections at the listeners' addresses: at the start of the stop, at the signal, and at the last look. */
  connections: { atStart: number; atSignal: number; lastSeen: number };
  /** What may have been lost without a trace, a sentence each. */
  doubts: string[];
  /** What could not be done, and why, in words. */
  notes: string[];
}

/** One listener of the program. */
export interface ListenerReport {
  address: string;
  gate: Gate;
  /** Why no better gate. */
  reason?: string;
  /** Clients in the accept queue when the gate was shut. */
  queued: number;
  /** Handshakes under way when the gate was shut. */
  halfOpen: number;
  /** Clients still in the accept queue when the program got the signal. */
  queuedAtSignal: number;
  /** Clients still in the accept queue at the end. */
  left: number;
  /** Time from the start of the stop to the shut gate. */
  shutAfter: number | undefined;
}

/** The report of a listener that was just found. */
export function firstReport(
  { name, socket, sharedBecause }: HeldListener,
  noGates: string | undefined,
): ListenerReport {
  const reason = noGates ?? sharedBecause;
  return {
    address: name,
    gate: sharedBecause === undefined ? 'none' : 'shared',
    ...(reason === undefined ? {} : { reason }),
    queued: socket.queued,
    halfOpen: 0,
    queuedAtSignal: 0,
    left: 0,
    shutAfter: undefined,
  };
}
