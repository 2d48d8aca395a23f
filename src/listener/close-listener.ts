import net from 'node:net';

/** What answers for a server in place of Node's own close. */
type Answer = (callback: unknown) => net.Server;

const answers = new Map<net.Server, Answer>();
/** The wrapper of net's `close`, while it is in place, and what it wraps. */
let wrapping: { readonly original: Function; readonly wrapper: Function } | undefined;

/** Closes the listener alone: http's own close would first destroy the idle connections, next requests and all. */
export function closeListenerOf(server: net.Server): void {
  Reflect.apply(wrapping?.original ?? Reflect.get(net.Server.prototype, 'close'), server, []);
}

/**
 * Lets `answer` answer whoever closes this server, until what is returned is called. At the bottom, in net's own method, that
 * http, https, tls and the program's overrides of `close` all come to: a reference to it that was taken long ago, too. http
 * would destroy the idle connections before.
 */
export function answerClose(server: net.Server, answer: Answer): () => void {
  answers.set(server, answer);
  wrapClose();
  const own = Object.getOwnPropertyDescriptor(server, 'closeIdleConnections');
  const isHttp = 'closeIdleConnections' in server;
  if (isHttp) {
    Object.defineProperty(server, 'closeIdleConnections', { value: () => {}, configurable: true, writable: true });
  }
  return () => {
    answers.delete(server);
    if (isHttp && own === undefined) Reflect.deleteProperty(server, 'closeIdleConnections');
    if (own !== undefined) Object.defineProperty(server, 'closeIdleConnections', own);
    if (answers.size === 0) unwrapClose();
  };
}

function wrapClose(): void {
  if (wrapping !== undefined) return;
  const original: unknown = Reflect.get(net.Server.prototype, 'close');
  if (typeof original !== 'function') return;
  const wrapper = function closeOrAnswer(this: net.Server, ...args: readonly unknown[]): unknown {
    const answer = answers.get(this);
    return answer === undefined ? Reflect.apply(original, this, args) : answer(args[0]);
  };
  Reflect.set(net.Server.prototype, 'close', wrapper);
  wrapping = { original, wrapper };
}

/** Where somebody else has wrapped ours meanwhile it stays, and passes everything through. */
function unwrapClose(): void {
  if (wrapping === undefined || Reflect.get(net.Server.prototype, 'close') !== wrapping.wrapper) return;
  Reflect.set(net.Server.prototype, 'close', wrapping.original);
  wrapping = undefined;
}
