/** One run of the benchmark: how much is measured, and whom to tell. */
export interface Run {
  /** Stops of each contender; the medians are of so many. */
  readonly stops: number;
  /** Repetitions of each size of queue. */
  readonly queues: number;
  readonly queueSizes: readonly number[];
  /** Sets of servers for the CPU time per request, and rounds within each. */
  readonly servingSets: number;
  readonly servingRounds: number;
  readonly requestsPerRound: number;
  readonly imports: number;
  readonly progress: (text: string) => void;
  /** Aborted by Ctrl-C: the children go, too. */
  readonly signal: AbortSignal;
}

type Size = Omit<Run, 'progress' | 'signal'>;

export const FULL: Size = {
  stops: 7,
  queues: 5,
  queueSizes: [100, 1_000, 4_000],
  servingSets: 18,
  servingRounds: 6,
  requestsPerRound: 4_000,
  imports: 15,
};

/** A trial: shows that everything runs; its figures are not to be trusted. */
export const QUICK: Size = {
  stops: 1,
  queues: 1,
  queueSizes: [100, 1_000],
  servingSets: 1,
  servingRounds: 2,
  requestsPerRound: 2_000,
  imports: 3,
};
