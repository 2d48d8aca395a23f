/** What can be measured, each by itself. */
export const PARTS = [
  'stops',
  'queues',
  'idle',
  'memory',
  'delivery',
  'refused',
  'serving',
  'imports',
  'runs',
  'watching',
  'channel',
  'usual',
] as const;

export type Part = (typeof PARTS)[number];

/** One run of the benchmark: how much is measured, and whom to tell. */
export interface Run {
  /** Stops of each contender; the medians are of so many. */
  readonly stops: number;
  /** Repetitions of each size of queue. */
  readonly queues: number;
  readonly queueSizes: readonly number[];
  /** Stops of each contender with so many idle connections, in ascending order. */
  readonly idle: readonly { readonly wanted: number; readonly rounds: number }[];
  /** Measurements of each contender's memory, with so many idle connections. */
  readonly memory: number;
  readonly memoryConnections: number;
  /** Closes with requests under way. */
  readonly delivery: number;
  /** Stops under HTTP/2 streams. */
  readonly refused: number;
  /** Sets of servers for the CPU time per request, and rounds within each. */
  readonly servingSets: number;
  readonly servingRounds: number;
  readonly requestsPerRound: number;
  readonly imports: number;
  /** Starts and stops of a program by `lastcall run`, and by others that do less. */
  readonly runs: number;
  /** Measurements of `lastcall watch`, with connections and without. */
  readonly watches: number;
  /** Rounds of all channel contenders under each load, and for how long each is measured, in milliseconds. */
  readonly channels: number;
  readonly channelTime: number;
  /** Stops with each sort of usual clients. */
  readonly usual: number;
  readonly progress: (text: string) => void;
  /** Aborted by Ctrl-C: the children go, too. */
  readonly signal: AbortSignal;
}

type Size = Omit<Run, 'progress' | 'signal'>;

export const FULL: Size = {
  stops: 7,
  queues: 5,
  queueSizes: [100, 1_000, 4_000],
  idle: [
    { wanted: 1_000, rounds: 5 },
    { wanted: 10_000, rounds: 7 },
    { wanted: 50_000, rounds: 2 },
  ],
  memory: 3,
  memoryConnections: 5_000,
  delivery: 11,
  refused: 11,
  servingSets: 18,
  servingRounds: 6,
  requestsPerRound: 4_000,
  imports: 15,
  runs: 15,
  watches: 5,
  channels: 7,
  channelTime: 2_000,
  usual: 3,
};

/** A trial: shows that everything runs; its figures are not to be trusted. */
export const QUICK: Size = {
  stops: 1,
  queues: 1,
  queueSizes: [100, 1_000],
  idle: [
    { wanted: 1_000, rounds: 1 },
    { wanted: 10_000, rounds: 1 },
  ],
  memory: 1,
  memoryConnections: 2_000,
  delivery: 2,
  refused: 2,
  servingSets: 1,
  servingRounds: 2,
  requestsPerRound: 2_000,
  imports: 3,
  runs: 3,
  watches: 1,
  channels: 1,
  channelTime: 500,
  usual: 1,
};
