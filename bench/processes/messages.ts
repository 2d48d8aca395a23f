/** What the benchmark asks of a measured server, a line each on its standard input. */
export type Order =
  /** Tell the CPU time so far. */
  | 'usage'
  /** Collect the garbage and tell the memory in use. */
  | 'memory'
  /** Tell when so many requests for `HELD_PATH` are under way. */
  | 'hold'
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
  | Memory
  | { readonly kind: 'holding' }
  | Stopped
  | Served;

/** Bytes. */
export interface Memory {
  readonly kind: 'memory';
  /** Of JavaScript: the heap, and what its objects hold outside. */
  readonly heap: number;
  readonly resident: number;
}

/** Times in milliseconds from the call on. */
export interface Stopped {
  readonly kind: 'stopped';
  /** Until no new connection could get in. */
  readonly gate: number;
  /** Until the contender said that it was done. */
  readonly done: number;
  /** The same moment on the clock that all processes share. */
  readonly doneAt: number;
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

/** What the clients in their process tell, in this order. */
export type ClientAnswer =
  /** Each has its response; the last byte of the last one came at this time of the shared clock. */
  { readonly kind: 'answered'; readonly lastByteAt: number } | Gone;

/** All connections are closed; how many of them how. */
export interface Gone {
  readonly kind: 'gone';
  readonly ended: number;
  readonly reset: number;
}

/** The descriptor by which a server with a blocked loop is woken. */
export const GONG = 3;

/** A request for it is answered `HELD` milliseconds after the stop has begun. */
export const HELD_PATH = '/held';
export const HELD = 200;

/** The body of every response. */
export const BODY = 'hello\n';

/** The ports of the server of the usual populations. */
export interface UsualPorts {
  readonly web: number;
  readonly raw: number;
}

/** What that server sends: its ports, and then how its close went. */
export type UsualAnswer = { readonly ports: UsualPorts } | { readonly outcome: string; readonly duration: number };
