/** What the benchmark asks of a measured server, a line each on its standard input. */
export type Order =
  /** Tell the CPU time so far. */
  | 'usage'
  /** Stop by the contender, tell what it took, and exit. */
  | 'stop'
  /** Block the loop until the gong sounds on descriptor 3, so that clients queue; then stop. */
  | 'queue and stop'
  /** The same, but serve what is queued and go on. */
  | 'queue and serve';

/** What the server answers, a line of JSON each. */
export type Answer =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'usage'; readonly cpu: number }
  | Stopped
  | Served;

/** Times in milliseconds from the call on. */
export interface Stopped {
  readonly kind: 'stopped';
  /** Until no new connection could get in. */
  readonly gate: number;
  /** Until the contender said that it was done. */
  readonly done: number;
  /** CPU time of the whole process. */
  readonly cpu: number;
  /** Connections accepted after the call. */
  readonly accepted: number;
}

export interface Served {
  readonly kind: 'served';
  readonly done: number;
  readonly cpu: number;
}

/** The descriptor by which a server with a blocked loop is woken. */
export const GONG = 3;
