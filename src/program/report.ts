import type { Gate } from '../close/report.ts';

/** What came of a program's stop. Times are in milliseconds. */
export interface StopReport {
  /**
   * `complete`: it ended by itself. `killed`: it lived on at the deadline, and was killed. `still running`: it lives on, with its
   * gates open again.
   */
  outcome: 'complete' | 'killed' | 'still running';
  /** What asked for it: a signal's name, or `lastcall stop`. */
  reason: string;
  duration: number;
  program: { pid: number; command: string; exitCode: number | undefined; signal: NodeJS.Signals | undefined };
  /** When it was sent the stop signal, and which; undefined if it had ended before. */
  signalled: { signal: NodeJS.Signals; after: number } | undefined;
  listeners: ListenerReport[];
  /** Connections at the listeners' addresses: when the stop began, at the signal, and when they were last seen. */
  connections: { atStart: number; atSignal: number; lastSeen: number };
  /** In words: why the program was sent the signal only, or less was done than could have been. */
  notes: string[];
}

/** One listener of the program. */
export interface ListenerReport {
  address: string;
  gate: Gate;
  /** Why no better gate. */
  reason?: string;
  /** When the gate was shut. */
  queued: number;
  halfOpen: number;
  /** Still in the accept queue when the program was sent the signal; at the end. */
  queuedAtSignal: number;
  left: number;
  /** From the beginning of the stop to the shut gate. */
  shutAfter: number | undefined;
}
