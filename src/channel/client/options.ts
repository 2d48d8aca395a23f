import { randomUUID } from 'node:crypto';
import type tls from 'node:tls';
import { type LastCallError, optionError } from '../../errors.ts';
import { checkBoolean, checkNames, checkSignal, isObject, milliseconds } from '../../option-checks.ts';
import {
  type ChannelLimits,
  checkCallback,
  copyOptions,
  type LinkSettings,
  linkSettings,
  wholeNumber,
} from '../link/limits.ts';
import { LAST_ID } from '../wire/frames.ts';
import { LONGEST_KEY } from '../wire/payloads.ts';
import { type Clock, realClock, type Transport } from '../wire/transport.ts';
import type { RequestDetails, RequestOptions, RequestPayload } from './request.ts';

/** Where a server is: TCP, `localhost` by default, or a Unix socket (`\0name` for one in the abstract namespace). */
export type ChannelAddress = { readonly host?: string; readonly port: number } | { readonly path: string };

/** How to be a client. Sizes are in bytes, times in milliseconds. */
export interface ConnectChannelOptions extends ChannelLimits {
  /** For TLS: the options of tls.connect without the address, `{}` for none. Default: no TLS. */
  readonly tls?: tls.ConnectionOptions;
  /**
   * Who this client is to the server, at most 255 bytes: its keys belong to all channels with the same identity. Anybody who knows it
   * can ask for their outcomes, so it is a secret. Give one to a program that asks with its own keys after a restart. Empty: none,
   * which shares the keys with all clients that have none. Default: made for this channel, by chance.
   */
  readonly identity?: string;
  /** How long requests wait while no server can be reached, until they are given up. Default 30,000. */
  readonly giveUpAfter?: number;
  /** How often an `idempotent` or `exactlyOnce` request is sent at most, if its connection breaks each time. Default 10. */
  readonly maxSendings?: number;
  /** Called with each message of the server. With it the channel stays connected without a request. */
  readonly onMessage?: (message: Uint8Array) => void;
  /** Called when a connection could not be made, or broke. The promises of the requests give their results. */
  readonly onError?: (error: LastCallError) => void;
}

/** The options of a client besides the limits. */
export const CONNECT_OPTION_NAMES: readonly string[] = [
  'tls',
  'identity',
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

/** The options of a client, complete. All its connections share them. */
export interface ClientSettings
  extends Required<Omit<ConnectChannelOptions, keyof ChannelLimits | 'tls' | 'identity'>> {
  readonly addresses: readonly ChannelAddress[];
  readonly link: LinkSettings;
  readonly clock: Clock;
  /** The highest id of a request. */
  readonly lastId: number;
  /** Whether to be connected without a request, because messages may come. */
  readonly staysConnected: boolean;
  readonly random: () => number;
  /** Begins a connection. */
  readonly dial: (address: ChannelAddress) => Transport;
}

/** Checks the address and the options. Throws a `LastCallError` with code `ERR_OPTION`. */
export function completeConnectOptions(
  address: unknown,
  given: ConnectChannelOptions = {},
): Omit<ClientSettings, 'dial'> & { readonly tls: tls.ConnectionOptions | undefined } {
  const addresses: readonly unknown[] = Array.isArray(address) ? address : [address];
  if (addresses.length === 0) throw optionError('address', 'at least one address', address);
  const options = copyOptions(given, CONNECT_OPTION_NAMES);
  const { tls } = options;
  if (tls !== undefined && !isObject(tls)) throw optionError('tls', 'an object', tls);
  return {
    addresses: addresses.map(checkAddress),
    tls,
    clock: realClock,
    link: linkSettings(options, { maxRequests: 0, remembers: 0, store: checkIdentity(options.identity) }),
    lastId: LAST_ID,
    giveUpAfter: milliseconds('giveUpAfter', options.giveUpAfter, 30_000),
    maxSendings: wholeNumber('maxSendings', options.maxSendings, 10, 1),
    staysConnected: options.onMessage !== undefined,
    random: Math.random,
    onMessage: checkCallback('onMessage', options.onMessage),
    onError: checkCallback('onError', options.onError),
  };
}

/** Checks one request. Throws a `LastCallError` with code `ERR_OPTION`. */
export function completeRequest(payload: unknown, given: RequestOptions = {}): RequestDetails {
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

function checkIdentity(identity: unknown): string {
  if (identity === undefined) return randomUUID();
  if (typeof identity === 'string' && (identity === '' || isKey(identity))) return identity;
  // It is a secret: the error says what kind of value it is, and no more.
  throw optionError('identity', `at most ${LONGEST_KEY} bytes of UTF-8`, typeof identity);
}

/** A surrogate without its other half has no encoding in UTF-8. */
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
