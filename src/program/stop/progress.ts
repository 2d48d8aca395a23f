import type { Pending } from './await-empty-queues.ts';

export type StopPhase = 'emptying the queues' | 'ending';

/** How many clients there are. */
export interface StopProgress {
  readonly queued: number;
  readonly halfOpen: number;
  /** Connections at the addresses of the listeners. */
  readonly open: number;
}

export function progressOf({ queued, halfOpen, open }: Pending): StopProgress {
  return { queued, halfOpen, open: open.size };
}
