/**
 * What a client saw, in counts. The requests are `served`, `refused`, `reset`, `eof`, `cut`, `unanswered`, `late`,
 * `unprocessed`, `failed` and `aborted`, each request in exactly one; `idleReset` and `idleClosed` count connections.
 */
export interface StormCounts {
  /** A whole response came, whatever its status. */
  served: number;
  /** Of those served, how many had a status of 500 or above. */
  serverErrors: number;
  /** Nobody listens: ECONNREFUSED, or ENOENT for the path of a Unix socket. Not a loss. */
  refused: number;
  /** Reset on a fresh connection, after the handshake and before any byte of the response. */
  reset: number;
  /** EOF on a fresh connection before any byte of the response. */
  eof: number;
  /** EOF, a reset or a breach of the protocol in the middle of a response. */
  cut: number;
  /** No whole response in time; so too a connection that never came about. */
  unanswered: number;
  /** Sent on a reused connection that met EOF or a reset before any byte of the response. */
  late: number;
  /**
   * Pipelined behind a request whose answer was the connection's last: the server does not process it, and the client may
   * ask again elsewhere (RFC 9112 sections 9.3.2 and 9.6). Not a loss.
   */
  unprocessed: number;
  /** An error of the storm's own, such as EMFILE or EADDRNOTAVAIL: the figures are not to be trusted. */
  failed: number;
  /** Under way when the storm's signal was aborted. */
  aborted: number;
  /** Connections reset while no request was outstanding. */
  idleReset: number;
  /** Connections that the server closed cleanly while no request was outstanding. Not a loss. */
  idleClosed: number;
}

/** What can become of a request, or of a connection between two. */
export type Outcome = Exclude<keyof StormCounts, 'serverErrors'>;

/** Where a connection stands when something happens to it. */
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

/** Those whom the server let down. To be refused is no loss: such a client knows that it may go elsewhere. */
export function countLost(counts: Readonly<StormCounts>): number {
  return counts.reset + counts.eof + counts.cut + counts.unanswered + counts.idleReset + counts.late;
}

/** Names what a client saw when its connection ended at this moment, in this way. */
export function outcomeOf(moment: Moment, ending: Ending): Outcome {
  if (moment === 'answering') return 'cut';
  if (ending === 'EOF') return ofEof(moment);
  // The kernel's time-out is shorter than ours only on a lossy way, and means the same.
  if (ending === 'ETIMEDOUT') return moment === 'idle' ? 'idleReset' : 'unanswered';
  // EPIPE is what a reset after the peer's FIN reads as.
  if (ending === 'ECONNRESET' || ending === 'EPIPE') return ofReset(moment);
  // A TCP Fast Open client learns only from its first read that it was refused.
  if (ending === 'ECONNREFUSED' && moment !== 'idle') return 'refused';
  if (ending === 'ENOENT' && moment === 'connecting') return 'refused';
  return 'failed';
}

function ofEof(moment: Exclude<Moment, 'answering'>): Outcome {
  if (moment === 'idle') return 'idleClosed';
  return moment === 'asked again' ? 'late' : 'eof';
}

// A reset seen by connect() comes from an established connection too: in SYN_SENT it reads ECONNREFUSED.
function ofReset(moment: Exclude<Moment, 'answering'>): Outcome {
  if (moment === 'idle') return 'idleReset';
  return moment === 'asked again' ? 'late' : 'reset';
}
