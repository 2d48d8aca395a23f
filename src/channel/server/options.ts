import { optionError } from '../../errors.ts';
import { callApart } from '../link/call-apart.ts';
import { checkFunction, checkNames, isObject, milliseconds } from '../../option-checks.ts';
import { GOODBYE_REASONS } from '../wire/frames.ts';
import { type ChannelLimits, completeLimits, helloFor, LIMIT_NAMES, wholeNumber } from '../link/limits.ts';
import { memoryStore } from './memory-store.ts';
import { Outcomes, type OutcomeStore } from './outcomes.ts';
import type { ChannelPeer, GoodbyeWords } from '../wire/peer.ts';
import type { ChannelHandler } from './request.ts';
import type { ServingSettings } from './settings.ts';
import { type Clock, realClock } from '../wire/transport.ts';

/** How to serve a channel. Sizes are in bytes, times in milliseconds. */
export interface ServeChannelOptions extends ChannelLimits {
  /** Requests that one connection may have under way at once. Default 1,024. */
  readonly maxRequests?: number;
  /** After how long without a request a client is told to leave; it comes back when it has one. 0: never. Default 0. */
  readonly idleLimit?: number;
  /** What clients are told when the server closes. Default: that it is closing, and that they may come back at once. */
  readonly farewell?: GoodbyeWords;
  /** Where the outcomes of requests with a key are remembered. Default: in this process, `memoryStore()`. */
  readonly store?: OutcomeStore;
  /** A client has come, and can be sent messages. */
  readonly onPeer?: (peer: ChannelPeer) => void;
  /**
   * Hears of what a handler or the store has thrown, and of connections that did not end in good order. The client is told no more than that its
   * request failed.
   */
  readonly onError?: (error: unknown, peer: ChannelPeer) => void;
}

/** Those that a server has beside the limits. */
export const SERVE_OPTION_NAMES: readonly string[] = [
  'maxRequests',
  'idleLimit',
  'farewell',
  'store',
  'onPeer',
  'onError',
] satisfies readonly (keyof ServeChannelOptions)[];

/** Checks the options once, at the edge. Throws a `LastCallError` with code `ERR_OPTION`. */
export function completeServeOptions(
  handler: unknown,
  given: ServeChannelOptions = {},
  clock: Clock = realClock,
): ServingSettings {
  if (typeof handler !== 'function') throw optionError('handler', 'a function', handler);
  if (!isObject(given)) throw optionError('options', 'an object', given);
  const options: ServeChannelOptions = Object.assign(Object.create(null), given);
  checkNames('options', options, [...LIMIT_NAMES, ...SERVE_OPTION_NAMES]);
  const limits = completeLimits(options);
  const maxRequests = wholeNumber('maxRequests', options.maxRequests, 1_024, 1);
  const store = checkStore(options.store) ?? memoryStore();
  const onPeer = checkFunction('onPeer', options.onPeer);
  const onError = checkFunction('onError', options.onError);
  const { name, remembers } = store;
  return {
    handler: handler as ChannelHandler,
    clock,
    link: {
      ...limits,
      hello: helloFor(limits, { maxRequests, remembers, store: name }),
      maxUnsent: limits.maxUnread,
      pausesWhenFull: true,
    },
    outcomes: new Outcomes(store, clock),
    maxPayload: limits.maxPayload,
    idleLimit: milliseconds('idleLimit', options.idleLimit, 0),
    farewell: checkGoodbye('farewell', options.farewell),
    onOpen: (peer) => callApart(() => onPeer?.(peer)),
    onError: (error, peer) => callApart(() => onError?.(error, peer)),
  };
}

/** Checks what a farewell is to say. */
export function checkGoodbye(name: string, value: GoodbyeWords = {}): GoodbyeWords {
  if (!isObject(value)) throw optionError(name, 'an object', value);
  checkNames(name, value, ['reason', 'retryAfter']);
  const { reason = 'closing' } = value;
  if (!Object.hasOwn(GOODBYE_REASONS, reason)) {
    throw optionError(
      `${name}.reason`,
      Object.keys(GOODBYE_REASONS)
        .map((word) => `\`${word}\``)
        .join(' or '),
      reason,
    );
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
