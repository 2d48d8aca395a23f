import type { Outcome } from '../outcome.ts';
import { Columns } from './columns.ts';

/**
 * What the clients of a run saw: a row for each connection, and a row for each request. The page draws them, and the verdict
 * counts them. Times are in µs since the recording began, so that a row of a request has 28 bytes: at most 71 minutes.
 */

/** Two loads at once, reported apart: a connection for each request, or kept connections. */
export type Probe = 'new' | 'reused';
export const PROBES: readonly Probe[] = ['new', 'reused'];

/** What becomes of a request. The positions are part of the page's data. `pending`: under way. */
export type RequestOutcome = Exclude<Outcome, 'idleReset' | 'idleClosed'> | 'pending' | 'server error';
export const OUTCOMES: readonly RequestOutcome[] = [
  'pending',
  'served',
  'server error',
  'refused',
  'reset',
  'eof',
  'cut',
  'unanswered',
  'late',
  'unprocessed',
  'failed',
  'aborted',
];

/** How a connection ends, as its client sees it. `left`: the client closed it. The positions are part of the page's data. */
export type ConnectionEnding = 'open' | 'left' | 'fin' | 'reset' | 'refused' | 'timed out' | 'malformed' | 'failed';
export const ENDINGS: readonly ConnectionEnding[] = [
  'open',
  'left',
  'fin',
  'reset',
  'refused',
  'timed out',
  'malformed',
  'failed',
];

/** No time: it has not happened. */
export const NEVER: number = 0xffff_ffff;

/** The columns of a connection. `generation`: the last one that answered on it; 0 if unknown. */
export const CONNECTION_COLUMNS: {
  readonly probe: 'u8';
  readonly ending: 'u8';
  readonly generation: 'u16';
  readonly opened: 'u32';
  readonly established: 'u32';
  readonly farewell: 'u32';
  readonly ended: 'u32';
} = {
  probe: 'u8',
  ending: 'u8',
  generation: 'u16',
  /** connect(2) was called. */
  opened: 'u32',
  /** The handshake was complete, for the client (that of TLS, too). */
  established: 'u32',
  /** The server said that it is the last response, or its last words: `Connection: close`, GOAWAY, a Close frame. */
  farewell: 'u32',
  ended: 'u32',
};

/** The columns of a request. `due`: when an open loop wanted it; latency counts from there. */
export const REQUEST_COLUMNS: {
  readonly connection: 'u32';
  readonly outcome: 'u8';
  readonly status: 'u16';
  readonly generation: 'u16';
  readonly due: 'u32';
  readonly sent: 'u32';
  readonly firstByte: 'u32';
  readonly ended: 'u32';
} = {
  connection: 'u32',
  outcome: 'u8',
  status: 'u16',
  generation: 'u16',
  due: 'u32',
  sent: 'u32',
  firstByte: 'u32',
  ended: 'u32',
};

/** A request that got no connection (such as an error of the client's own) has this one. */
export const NO_CONNECTION: number = 0xffff_ffff;

/** Records a run. Each call costs less than 2 µs, and nothing is made but rows of typed arrays. */
export class Recording {
  readonly connections: Columns<typeof CONNECTION_COLUMNS> = new Columns(CONNECTION_COLUMNS);
  readonly requests: Columns<typeof REQUEST_COLUMNS> = new Columns(REQUEST_COLUMNS);
  /** `performance.now()` when it began. */
  readonly begunAt: number;

  constructor(begunAt: number = performance.now()) {
    this.begunAt = begunAt;
  }

  /** Now, in µs since the recording began. */
  get now(): number {
    return this.at(performance.now());
  }

  /** This moment of `performance.now()`, in µs since the recording began. */
  at(milliseconds: number): number {
    return Math.min(NEVER - 1, Math.max(0, Math.round((milliseconds - this.begunAt) * 1_000)));
  }

  /** A client calls connect(2). Returns the number of the connection. */
  open(probe: Probe): number {
    const row = this.connections.add();
    this.connections.set('probe', row, PROBES.indexOf(probe));
    this.connections.set('opened', row, this.now);
    for (const column of ['established', 'farewell', 'ended'] as const) this.connections.set(column, row, NEVER);
    return row;
  }

  established(connection: number): void {
    this.connections.set('established', connection, this.now);
  }

  farewell(connection: number): void {
    if (this.connections.get('farewell', connection) === NEVER) this.connections.set('farewell', connection, this.now);
  }

  ended(connection: number, ending: ConnectionEnding): void {
    if (this.connections.get('ended', connection) !== NEVER) return;
    this.connections.set('ending', connection, ENDINGS.indexOf(ending));
    this.connections.set('ended', connection, this.now);
  }

  /** A request is due, at a moment of `performance.now()`. Returns its number. */
  request(due: number = performance.now()): number {
    const row = this.requests.add();
    this.requests.set('connection', row, NO_CONNECTION);
    this.requests.set('due', row, this.at(due));
    for (const column of ['sent', 'firstByte', 'ended'] as const) this.requests.set(column, row, NEVER);
    return row;
  }

  /** It goes out, or will as soon as the connection is there. */
  assigned(request: number, connection: number): void {
    this.requests.set('connection', request, connection);
  }

  sent(request: number): void {
    this.requests.set('sent', request, this.now);
  }

  firstByte(request: number): void {
    if (this.requests.get('firstByte', request) === NEVER) this.requests.set('firstByte', request, this.now);
  }

  /** What became of it. `generation`: which start of the program answered, from 1; 0 if unknown. */
  finished(request: number, outcome: RequestOutcome, status = 0, generation = 0): void {
    this.requests.set('outcome', request, OUTCOMES.indexOf(outcome));
    this.requests.set('status', request, status);
    this.requests.set('generation', request, generation);
    this.requests.set('ended', request, this.now);
    const connection = this.requests.get('connection', request);
    if (generation > 0 && connection !== NO_CONNECTION) this.connections.set('generation', connection, generation);
  }
}
