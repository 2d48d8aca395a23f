import { optionError } from '../../errors.ts';
import { checkFunction, checkNames, isObject, milliseconds } from '../../option-checks.ts';
import {
  type ChannelLimits,
  checkCallback,
  copyOptions,
  type LinkSettings,
  linkSettings,
  wholeNumber,
} from '../link/limits.ts';
import { GOODBYE_REASONS } from '../wire/frames.ts';
import type { GoodbyeWords } from '../wire/payloads.ts';
import { type Clock, realClock } from '../wire/transport.ts';
import type { Identify } from './caller.ts';
import { memoryStore } from './memory-store.ts';
import { Outcomes, type OutcomeStore } from './outcomes.ts';
import type { ChannelHandler, ChannelPeer } from './request.ts';

/** How to serve a channel. Sizes are in bytes, times in milliseconds. */
export interface ServeChannelOptions extends ChannelLimits {
  /** Requests that one connection may have under way at once. Default 1,024. */
  readonly maxRequests?: number;
  /** How long a client may be without a request before the server sends it away. It comes back when it has one. 0: no limit. Default 0. */
  readonly idleLimit?: number;
  /** The farewell that clients get when the server closes. Default: it is closing, and they may come back at once. */
  readonly farewell?: GoodbyeWords;
  /** Where the outcomes of requests with a key are kept. Default: in this process, `memoryStore()`. */
  readonly store?: OutcomeStore;
  /**
   * Who a client is, called for each connection when it has greeted: what its keys belong to. Return a string that is not empty, by
   * the certificate, the socket or the `identity` in the greeting; or undefined, for the default. Where it throws, the client is
   * not accepted. Default: who has sent the same `identity`, which each channel of ours makes by chance.
   */
  readonly identify?: Identify;
  /** Called when a client has connected and can get messages. */
  readonly onPeer?: (peer: ChannelPeer) => void;
  /**
   * Called with what a handler or the store threw, and with the error of a connection that did not end in good order. The client
   * learns only that its request failed.
   */
  readonly onError?: (error: unknown, peer: ChannelPeer) => void;
}

/** The options of a server besides the limits. */
export const SERVE_OPTION_NAMES: readonly string[] = [
  'maxRequests',
  'idleLimit',
  'farewell',
  'store',
  'identify',
  'onPeer',
  'onError',
] satisfies readonly (keyof ServeChannelOptions)[];

/** The options of a server, complete. All its connections share them. */
export interface ServerSettings extends Required<Pick<ServeChannelOptions, 'idleLimit' | 'farewell' | 'onError'>> {
  readonly handler: ChannelHandler;
  readonly link: LinkSettings;
  readonly clock: Clock;
  readonly outcomes: Outcomes;
  readonly identify: Identify;
  /** Called when a client's HELLO has come. */
  readonly onOpen: (peer: ChannelPeer) => void;
}

/** Checks the options. Throws a `LastCallError` with code `ERR_OPTION`. */
export function completeServeOptions(
  handler: unknown,
  given: ServeChannelOptions = {},
  clock: Clock = realClock,
): ServerSettings {
  if (typeof handler !== 'function') throw optionError('handler', 'a function', handler);
  const options = copyOptions(given, SERVE_OPTION_NAMES);
  const maxRequests = wholeNumber('maxRequests', options.maxRequests, 1_024, 1);
  const store = checkStore(options.store) ?? memoryStore();
  const { name, remembers } = store;
  return {
    handler: handler as ChannelHandler,
    link: linkSettings(options, { maxRequests, remembers, store: name }),
    clock,
    outcomes: new Outcomes(store, clock),
    identify: checkFunction('identify', options.identify) ?? (() => undefined),
    onOpen: checkCallback('onPeer', options.onPeer),
    onError: checkCallback('onError', options.onError),
    idleLimit: milliseconds('idleLimit', options.idleLimit, 0),
    farewell: checkGoodbye('farewell', options.farewell),
  };
}

/** Checks the content of a farewell. */
export function checkGoodbye(name: string, value: GoodbyeWords = {}): GoodbyeWords {
  if (!isObject(value)) throw optionError(name, 'an object', value);
  checkNames(name, value, ['reason', 'retryAfter']);
  const { reason = 'closing' } = value;
  if (!Object.hasOwn(GOODBYE_REASONS, reason)) {
    const reasons = Object.keys(GOODBYE_REASONS).map((word) => `\`${word}\``);
    throw optionError(`${name}.reason`, reasons.join(' or '), reason);
  }
  return { reason, retryAfter: Math.round(milliseconds(`${name}.retryAfter`, value.retryAfter, 0)) };
}

function checkStore(store: OutcomeStore | undefined): OutcomeStore | undefined {
  if (store === undefined) return undefined;
  if (!isObject(store)) throw optionError('store', 'an object', store);
  for (const method of ['claim', 'keep', 'forget']) {
    const value: unknown = Reflect.get(store, method);
    if (typeof value !== 'function') throw optionError(`store.${method}`, 'a function', value);
  }
  const { name, remembers } = store;
  const isName = typeof name === 'string' && name.length > 0 && Buffer.byteLength(name) <= 255;
  if (!isName) throw optionError('store.name', 'a string of 1 to 255 bytes', name);
  milliseconds('store.remembers', remembers, 0);
  return store;
}
