import net from 'node:net';
import { type Replacement, replaceMethod } from '../node/replace.ts';
import { keepPath } from '../linux/unix-path.ts';

/** What a server's `close` does instead of Node's own. */
type Answer = (callback: unknown) => net.Server;

const answers = new Map<net.Server, Answer>();
/** The wrapper of net's `close`, while it is in place. */
let wrapping: Replacement | undefined;

/**
 * Closes the listener alone: http's own close would first destroy the idle connections, next requests and all. `path`: a Unix path
 * that must stay.
 */
export function closeListenerOf(server: net.Server, path?: string): void {
  if (path === undefined) closeOne(server);
  else keepPath(path, () => closeOne(server));
}

function closeOne(server: net.Server): void {
  if (wrapping === undefined) net.Server.prototype.close.call(server);
  else wrapping.original(server, []);
}

/**
 * Calls `answer` when a program closes this server; returns an undo function. It stands at the bottom, in net's own method, to
 * which http, https, tls and the program's overrides of `close` all come, as does a reference to it that was taken long ago.
 * http would destroy the idle connections before.
 */
export function answerClose(server: net.Server, answer: Answer): () => void {
  answers.set(server, answer);
  wrapping ??= replaceMethod(
    net.Server.prototype,
    'close',
    (original) =>
      function closeOrAnswer(this: net.Server, ...args: readonly unknown[]) {
        const ours = answers.get(this);
        return ours === undefined ? original(this, args) : ours(args[0]);
      },
  );
  const isHttp = 'closeIdleConnections' in server;
  const idle = isHttp
    ? replaceMethod(server, 'closeIdleConnections', (original) => () => {
        if (!answers.has(server)) original(server, []);
      })
    : undefined;
  return () => {
    answers.delete(server);
    idle?.undo();
    if (answers.size === 0 && wrapping?.undo() === true) wrapping = undefined;
  };
}
