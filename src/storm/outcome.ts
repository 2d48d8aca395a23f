/**
 * What the clients saw. Each request is in exactly one of `served`, `refused`, `reset`, `eof`, `cut`, `unanswered`, `late`,
 * `unprocessed`, `failed` and `aborted`; `idleReset` and `idleClosed` count connections.
 */
export interface StormCounts {
  /** A complete response came, with any status. */
  served: number;
  /** How many of the served had a status of 500 or above. */
  serverErrors: number;
  /** There is no listener: ECONNREFUSED, or ENOENT for the path of a Unix socket. Not a loss. */
  refused: number;
  /** Reset on a new connection, after the handshake and before any byte of the response. */
  reset: number;
  /** EOF on a new connection before any byte of the response. */
  eof: number;
  /** EOF, a reset or a breach of the protocol in the middle of a response. */
  cut: number;
  /** No complete response in time, or no connection. */
  unanswered: number;
  /** Sent on a reused connection that met EOF or a reset before any byte of the response. */
  late: number;
  /**
   * Pipelined behind a request whose answer was the last of the connection: the server does not process it, and the client
   * may send it again elsewhere (RFC 9112 sections 9.3.2 and 9.6). Not a loss.
   */
  unprocessed: number;
  /** An error of the storm itself, such as EMFILE or EADDRNOTAVAIL: the numbers are not reliable. */
  failed: number;
  /** Under way when the storm's signal was aborted. */
  aborted: number;
  /** Connections reset while no request was outstanding. */
  idleReset: number;
  /** Connections that the server closed cleanly while no request was outstanding. Not a loss. */
  idleClosed: number;
}

/** The outcome of a request, or of a connection between two requests. */
export type Outcome = Exclude<keyof StormCounts, 'serverErrors'>;

/** The state of a connection when it ends. */
export type Moment = 'connecting' | 'asked' | 'asked again' | 'answering' | 'idle';

/** How a connection ended: the peer's EOF, or the name of an error. */
export type Ending = 'EOF' | (string & {});

export function noCounts(): StormCounts {
  return {
    served: 0,
    serverErrors: 0,
    refused: 0,
    reset: 0,
    eof: 0,
    cut: 0,
    unanswered: 0,
    late: 0,
    unprocessed: 0,
    failed: 0,
    aborted: 0,
    idleReset: 0,
    idleClosed: 0,
  };
}

/** Counts the clients that the server failed. A refused client is not lost: it knows that it may go elsewhere. */
export function countLost(counts: Readonly<StormCounts>): number {
  return counts.reset + counts.eof + counts.cut + counts.unanswered + counts.idleReset + counts.late;
}

/** The outcome of a connection that ends at this moment, in this way. */
export function outcomeOf(moment: Moment, ending: Ending): Outcome {
  if (moment === 'answering') return 'cut';
  if (ending === 'EOF') return ofEof(moment);
  // The kernel's time-out is shorter than ours only on a lossy network, and means the same.
  if (ending === 'ETIMEDOUT') return moment === 'idle' ? 'idleReset' : 'unanswered';
  // EPIPE is a reset after the peer's FIN.
  if (ending === 'ECONNRESET' || ending === 'EPIPE') return ofReset(moment);
  // A TCP Fast Open client gets the refusal only at its first read.
  if (ending === 'ECONNREFUSED' && moment !== 'idle') return 'refused';
  if (ending === 'ENOENT' && moment === 'connecting') return 'refused';
  return 'failed';
}

function ofEof(moment: Exclude<Moment, 'answering'>): Outcome {
  if (moment === 'idle') return 'idleClosed';
  return moment === 'asked again' ? 'late' : 'eof';
}

// ECONNREFUSED is the error of a reset in SYN_SENT, so a reset that connect() sees is one of an established connection.
function ofReset(moment: Exclude<Moment, 'answering'>): Outcome {
  if (moment === 'idle') return 'idleReset';
  return moment === 'asked again' ? 'late' : 'reset';
}
