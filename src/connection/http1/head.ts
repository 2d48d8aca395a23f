import http from 'node:http';
import type net from 'node:net';
import { lastReadOn } from '../../node/fields.ts';
import { type Replacement, replaceMethod } from '../../node/replace.ts';
import { isOnOneOf } from '../open-connections.ts';

/** A close that is under way, as far as response heads are concerned. */
export interface ClosingHeads {
  /** One that listens anew may be in two closes. */
  readonly servers: ReadonlySet<unknown>;
  /** Called with each response that is the last one of its connection, before its head is written. */
  readonly onLast: (response: http.ServerResponse) => void;
}

const underWay = new Set<ClosingHeads>();
/** The wrapper of `writeHead`, while it is in place. */
let wrapping: Replacement | undefined;

/**
 * Lets every HTTP/1.1 response whose head is not yet sent carry `Connection: close`, whatever wrote it, on connections
 * that these servers have accepted or serve, until `signal` aborts. Of pipelined requests only the response to the one
 * read last carries it: whatever comes behind it is not processed (RFC 9112 9.6). `writeHead` is wrapped only while a
 * close is under way.
 */
export function addCloseToHeads(closing: ClosingHeads, signal: AbortSignal): void {
  underWay.add(closing);
  wrapWriteHead();
  signal.addEventListener('abort', () => {
    underWay.delete(closing);
    if (underWay.size === 0 && wrapping?.undo() === true) wrapping = undefined;
  });
}

/**
 * Lets a response that is under way carry `Connection: close` though its own `writeHead` was replaced before the close began:
 * ours is not called for it.
 */
export function addCloseToReplacedHead(response: http.ServerResponse, onLast: ClosingHeads['onLast']): void {
  if (!Object.hasOwn(response, 'writeHead') || response.headersSent || !isLast(response, response.req.socket)) return;
  onLast(response);
  addClose(response, []);
}

/** Wraps what is there when the first close begins: others may have wrapped Node's own since the import. */
function wrapWriteHead(): void {
  wrapping ??= replaceMethod(
    http.ServerResponse.prototype,
    'writeHead',
    (original) =>
      function writeHeadAndClose(this: http.ServerResponse, ...args: unknown[]) {
        return original(this, withClose(this, args));
      },
  );
}

/** The arguments of `writeHead` as a close wants them. */
function withClose(response: http.ServerResponse, args: readonly unknown[]): readonly unknown[] {
  const isInterim = typeof args[0] === 'number' && args[0] < 200;
  if (isInterim || response.headersSent) return args;
  // A pipelined response gets its socket when those before it are done.
  const socket = response.req.socket;
  const closings = [...underWay].filter(({ servers }) => isOnOneOf(servers, socket));
  if (closings.length === 0 || !isLast(response, socket)) return args;
  for (const { onLast } of closings) onLast(response);
  return addClose(response, args);
}

/** Whether nothing has been read on the connection after the request that this answers. */
function isLast(response: http.ServerResponse, socket: net.Socket): boolean {
  const last = lastReadOn(socket);
  return last === undefined || last === response.req;
}

/**
 * Lets Node add `Connection: close`, which it does for a response without such a header: the program's own is removed. (To set
 * the header instead would change how Node treats the others that are given to writeHead.)
 */
function addClose(response: http.ServerResponse, args: readonly unknown[]): readonly unknown[] {
  response.shouldKeepAlive = false;
  if (response.hasHeader('connection')) response.setHeader('Connection', 'close');
  return args.map(withoutConnection);
}

/** Headers given to writeHead win over those set before: a `Connection` among them must go. */
function withoutConnection(argument: unknown): unknown {
  if (typeof argument !== 'object' || argument === null) return argument;
  if (!Array.isArray(argument)) {
    return Object.fromEntries(Object.entries(argument).filter(([name]) => !isConnection(name)));
  }
  if (argument.every((entry) => Array.isArray(entry))) return argument.filter(([name]) => !isConnection(name));
  return argument.filter((_, index) => !isConnection(argument[index - (index % 2)]));
}

function isConnection(name: unknown): boolean {
  return typeof name === 'string' && /^connection$/i.test(name);
}
