import type tls from 'node:tls';
import { LastCallError, optionError } from '../../errors.ts';
import { checkBoolean, checkFunction, checkNames, checkSignal, isObject, milliseconds } from '../../option-checks.ts';
import { callApart } from '../link/call-apart.ts';
import type { ChannelClientSettings } from './client.ts';
import type { Asking, RequestOptions, RequestPayload } from './request.ts';
import { LAST_ID } from '../wire/frames.ts';
import { LONGEST_KEY } from '../wire/key.ts';
import { type ChannelLimits, completeLimits, helloFor, LIMIT_NAMES, wholeNumber } from '../link/limits.ts';
import { realClock } from '../wire/transport.ts';

/** Where a server is: TCP, `localhost` by default, or a Unix socket (`\0name` for one in the abstract namespace). */
export type ChannelAddress = { readonly host?: string; readonly port: number } | { readonly path: string };

/** How to be a client. Sizes are in bytes, times in milliseconds. */
export interface ConnectChannelOptions extends ChannelLimits {
  /** For TLS: what tls.connect takes besides the address, `{}` for nothing. Default: none. */
  readonly tls?: tls.ConnectionOptions;
  /** For how long to try, while no server can be reached, before the requests that wait are given up. Default 30,000. */
  readonly giveUpAfter?: number;
  /** How often a request is sent at most that is `idempotent` or `exactlyOnce`, and whose connection breaks each time. Default 10. */
  readonly maxSendings?: number;
  /** Hears the server's messages; with it the channel stays connected while nothing is asked. */
  readonly onMessage?: (message: Uint8Array) => void;
  /** Hears why a connection could not be made, or has broken. What comes of the requests their promises tell. */
  readonly onError?: (error: LastCallError) => void;
}

/** Those that a client has beside the limits. */
export const CONNECT_OPTION_NAMES: readonly string[] = [
  'tls',
  'giveUpAfter',
  'maxSendings',
  'onMessage',
  'onError',
] satisfies readonly (keyof ConnectChannelOptions)[];

const REQUEST_NAMES: readonly string[] = [
  'signal',
  'idempotent',
  'exactlyOnce',
] satisfies readonly (keyof RequestOptions)[];

/** Everything of a client but how it dials. */
type Settings = Omit<ChannelClientSettings<ChannelAddress>, 'dial'>;

/** Checks where to go and how, once, at the edge. Throws a `LastCallError` with code `ERR_OPTION`. */
export function completeConnectOptions(
  address: unknown,
  given: ConnectChannelOptions = {},
): Settings & { readonly tls: tls.ConnectionOptions | undefined } {
  const addresses: readonly unknown[] = Array.isArray(address) ? address : [address];
  if (addresses.length === 0) throw optionError('address', 'at least one address', address);
  if (!isObject(given)) throw optionError('options', 'an object', given);
  const options: ConnectChannelOptions = Object.assign(Object.create(null), given);
  checkNames('options', options, [...LIMIT_NAMES, ...CONNECT_OPTION_NAMES]);
  const limits = completeLimits(options);
  const { tls } = options;
  if (tls !== undefined && !isObject(tls)) throw optionError('tls', 'an object', tls);
  const onMessage = checkFunction('onMessage', options.onMessage);
  const onError = checkFunction('onError', options.onError);
  return {
    addresses: addresses.map(checkAddress),
    tls,
    clock: realClock,
    link: {
      ...limits,
      hello: helloFor(limits, { maxRequests: 0, remembers: 0, store: '' }),
      maxUnsent: limits.maxUnread,
      pausesWhenFull: false,
    },
    maxPayload: limits.maxPayload,
    lastId: LAST_ID,
    giveUpAfter: milliseconds('giveUpAfter', options.giveUpAfter, 30_000),
    maxSendings: wholeNumber('maxSendings', options.maxSendings, 10, 1),
    staysConnected: onMessage !== undefined,
    random: Math.random,
    onMessage: (message) => callApart(() => onMessage?.(message)),
    onError: (error) => callApart(() => onError?.(error)),
  };
}

/** Checks one request. Throws a `LastCallError` with code `ERR_OPTION`. */
export function completeRequest(payload: unknown, given: RequestOptions = {}): Asking {
  if (!(payload instanceof Uint8Array) && typeof payload !== 'function') {
    throw optionError('payload', 'a Uint8Array, or a function that returns chunks', payload);
  }
  if (!isObject(given)) throw optionError('options', 'an object', given);
  checkNames('options', given, REQUEST_NAMES);
  const { exactlyOnce = false } = given;
  const isOwnKey = typeof exactlyOnce === 'string';
  if (isOwnKey && !isKey(exactlyOnce)) {
    throw optionError('exactlyOnce', `a key of 1 to ${LONGEST_KEY} bytes of UTF-8`, exactlyOnce);
  }
  const key = isOwnKey
    ? exactlyOnce
    : checkBoolean('exactlyOnce', exactlyOnce, false)
      ? crypto.randomUUID()
      : undefined;
  const idempotent = checkBoolean('idempotent', given.idempotent, false);
  return { payload: payload as RequestPayload, key, isOwnKey, idempotent, signal: checkSignal(given.signal) };
}

/** A surrogate without its other half has no bytes of its own. */
function isKey(text: string): boolean {
  return text.length > 0 && Buffer.byteLength(text) <= LONGEST_KEY && !/\p{Surrogate}/u.test(text);
}

function checkAddress(address: unknown): ChannelAddress {
  if (!isObject(address)) throw optionError('address', '`{ port }`, `{ host, port }` or `{ path }`', address);
  checkNames('address', address, ['host', 'port', 'path']);
  const { host, port, path }: { readonly host?: unknown; readonly port?: unknown; readonly path?: unknown } = address;
  if (path !== undefined) {
    if (typeof path === 'string' && path.length > 0 && host === undefined && port === undefined) return { path };
    throw optionError('address.path', 'the path of a socket, without `host` and `port`', path);
  }
  if (host !== undefined && typeof host !== 'string') throw optionError('address.host', 'a string', host);
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw optionError('address.port', 'a port from 1 to 65535', port);
  }
  return host === undefined ? { port } : { host, port };
}
