import type { ServerHttp2Session } from 'node:http2';

// RFC 9113 7. (node:http2 has it too, and is not loaded for a program that does not speak HTTP/2.)
const NO_ERROR = 0;

/**
 * Ends an HTTP/2 session: GOAWAY with the last stream taken on, and the connection closes when its streams have
 * finished (RFC 9113 6.8). One that came in during the close came to ask something: it is ended after its first stream,
 * or when `idleWait` milliseconds have brought none.
 */
export function endSession(
  session: ServerHttp2Session,
  when: 'now' | 'after its first stream',
  idleWait: number,
  over: AbortSignal,
): void {
  if (when === 'now') {
    sayGoaway(session);
    return;
  }
  const timer = setTimeout(() => sayGoaway(session), idleWait);
  const cancel = (): void => clearTimeout(timer);
  session.once('stream', () => {
    cancel();
    // After the turn in which it came: the streams that came with it are taken on, too.
    setImmediate(() => sayGoaway(session));
  });
  session.once('close', cancel);
  over.addEventListener('abort', cancel);
}

function sayGoaway(session: ServerHttp2Session): void {
  if (session.destroyed || session.closed) return;
  // Node 20 and 22 send none by themselves when a session is closed.
  session.goaway(NO_ERROR);
  session.close();
}
