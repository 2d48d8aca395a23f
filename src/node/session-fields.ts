import { field } from './fields.ts';

/**
 * What Node keeps of an HTTP/2 session, and does not document: like fields.ts, with the same checks.
 */

/** The open streams of an HTTP/2 session: node:http2 keeps them under a symbol. Empty where that cannot be known. */
export function openStreams(session: object): readonly unknown[] {
  const symbol = Object.getOwnPropertySymbols(session).find(({ description }) => description === 'state');
  const streams = symbol === undefined ? undefined : field(Reflect.get(session, symbol), 'streams');
  const forEach = field(streams, 'forEach');
  const found: unknown[] = [];
  // Node's own kind of Map, which is no instance of Map.
  if (typeof forEach === 'function') Reflect.apply(forEach, streams, [(stream: unknown) => found.push(stream)]);
  return found;
}

/**
 * Has an HTTP/2 session's streams not be allowed to push any more, as after its close: node:http2 asks its `remoteSettings`
 * whether the client permits pushes.
 */
export function forbidPushes(session: object): void {
  const prototype: unknown = Reflect.getPrototypeOf(session);
  if (typeof prototype !== 'object' || prototype === null) return;
  const get = (): object => ({ ...Object(Reflect.get(prototype, 'remoteSettings', session)), enablePush: false });
  Reflect.defineProperty(session, 'remoteSettings', { configurable: true, enumerable: false, get });
}
