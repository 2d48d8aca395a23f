import net from 'node:net';
import { loadLibc } from '../../linux/libc.ts';
import { type Replacement, replaceMethod } from '../../node/replace.ts';
import { onSocketReceived } from '../../node/socket-fields.ts';
import { isHttp1Server } from '../http1/server.ts';
import { watchUpgrades } from '../http1/upgrades.ts';
import { isHttp2Server } from '../http2/session.ts';
import { acceptedBy } from '../open-connections.ts';
import { watchHandshakes, watchTls } from '../tls/sockets.ts';

/** Called with a server that does not listen, when it is handed a connection, and with that connection. */
type OnFed = (server: net.Server, socket: net.Socket) => void;

/** The servers that were handed connections, and for each the servers here that accepted these. */
const feedersOf = new WeakMap<net.Server, Set<net.Server>>();
const observers = new Set<OnFed>();
let replaced: Replacement | undefined;
/** Called at the first connection that comes by a message. */
const onFirstReceived = new Set<() => void>();
let hasReceived = false;
/** Who must hear of every connection from now on, whatever listens. */
let closes = 0;
/** Whether connections may go from one server to another at any time. That is not known before a server listens. */
let mayFeed = true;
let isKnown = false;

/**
 * From now on prepares each server that is handed connections, and does not listen itself (`server.emit('connection', socket)`):
 * at its first one. Every event of a server then passes through here. So this is put aside when an http server listens, as long
 * as no net or tls server does, and no connection has come by a message.
 */
export function watchFeeds(): void {
  watch();
  onSocketReceived(() => {
    noteFeeding();
    hasReceived = true;
    for (const callback of onFirstReceived) callback();
    onFirstReceived.clear();
  });
}

/** Calls back once a connection has come by a message from the parent, at once if one has. Returns an undo function. */
export function onceReceived(callback: () => void): () => void {
  if (hasReceived) callback();
  else onFirstReceived.add(callback);
  return () => onFirstReceived.delete(callback);
}

/** A server listens: it may be one that only accepts, and hands its connections to others. */
export function noteListens(server: net.Server): void {
  const servesItself = isHttp1Server(server) || isHttp2Server(server);
  if (!servesItself) noteFeeding();
  else if (!isKnown) mayFeed = false;
  unwatchIfUnused();
}

/** Whether a server was handed a connection while it did not listen. */
export function isFed(server: net.Server): boolean {
  return feedersOf.has(server);
}

/** The servers that listen, and have accepted connections which went to one of these. */
export function listenersThatFeed(servers: readonly net.Server[]): readonly net.Server[] {
  const feeders = new Set(servers.flatMap((server) => [...(feedersOf.get(server) ?? [])]));
  return [...feeders].filter((feeder) => feeder.listening);
}

/** Calls back for each connection that a server which does not listen is handed, until `signal` aborts. */
export function onFed(observer: OnFed, signal: AbortSignal): void {
  observers.add(observer);
  signal.addEventListener('abort', () => observers.delete(observer));
}

/** The same for a close, which misses none. */
export function onFedInClose(observer: OnFed, signal: AbortSignal): void {
  closes += 1;
  watch();
  onFed(observer, signal);
  signal.addEventListener('abort', () => {
    closes -= 1;
    unwatchIfUnused();
  });
}

function noteFeeding(): void {
  isKnown = true;
  mayFeed = true;
  watch();
}

function watch(): void {
  replaced ??= replaceMethod(
    net.Server.prototype,
    'emit',
    (original) =>
      function emitAndNote(this: net.Server, ...args: readonly unknown[]) {
        if (args[0] === 'connection') {
          watchTls();
          if (args[1] instanceof net.Socket && !this.listening) note(this, args[1]);
        }
        return original(this, args);
      },
  );
}

function unwatchIfUnused(): void {
  if (!mayFeed && closes === 0 && replaced?.undo() === true) replaced = undefined;
}

function note(server: net.Server, socket: net.Socket): void {
  const feeders = feedersOf.get(server) ?? prepare(server);
  const listener = acceptedBy(socket);
  if (listener !== undefined) feeders.add(listener);
  for (const observer of observers) observer(server, socket);
}

function prepare(server: net.Server): Set<net.Server> {
  const feeders = new Set<net.Server>();
  feedersOf.set(server, feeders);
  // As for a server that listens: at the stop a deploy may have replaced node_modules.
  loadLibc();
  watchHandshakes(server);
  watchUpgrades(server);
  return feeders;
}
