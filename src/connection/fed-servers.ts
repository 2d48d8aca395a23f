import net from 'node:net';
import { loadLibc } from '../linux/libc.ts';
import { type Replacement, replaceMethod } from '../node/replace.ts';
import { onSocketReceived } from '../node/socket-fields.ts';
import { isHttp1Server } from './http1/server.ts';
import { watchUpgrades } from './http1/upgrades.ts';
import { isHttp2Server } from './http2/session.ts';
import { watchHandshakes } from './tls/sockets.ts';

/** Called with a server that does not listen, when it is handed a connection, and with that connection. */
type OnFed = (server: net.Server, socket: net.Socket) => void;

const seen = new WeakSet<net.Server>();
const observers = new Set<OnFed>();
let replaced: Replacement | undefined;
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
  onSocketReceived(noteFeeding);
}

/** A server listens: it may be one that only accepts, and hands its connections to others. */
export function noteListens(server: net.Server): void {
  const servesItself = isHttp1Server(server) || isHttp2Server(server);
  if (!servesItself) noteFeeding();
  else if (!isKnown) mayFeed = false;
  unwatchIfUnused();
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
        if (args[0] === 'connection' && args[1] instanceof net.Socket && !this.listening) note(this, args[1]);
        return original(this, args);
      },
  );
}

function unwatchIfUnused(): void {
  if (!mayFeed && closes === 0 && replaced?.undo() === true) replaced = undefined;
}

function note(server: net.Server, socket: net.Socket): void {
  if (!seen.has(server)) {
    seen.add(server);
    loadLibc();
    watchHandshakes(server);
    watchUpgrades(server);
  }
  for (const observer of observers) observer(server, socket);
}
