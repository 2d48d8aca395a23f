import { optionError } from '../../errors.ts';
import { checkFunction, checkNames, isObject, milliseconds } from '../../option-checks.ts';
import { LEAST_FRAME, VERSION, type Hello } from '../wire/hello.ts';

/** Limits that both sides have. Sizes are in bytes, times in milliseconds. */
export interface ChannelLimits {
  /** The longest payload of a frame that this side takes. Longer payloads come in several frames. From 1,024. Default 65,536. */
  readonly maxFrame?: number;
  /** What may be on its way to this side, or unread in it, on one connection. At least four frames. Default 1 MiB. */
  readonly maxUnread?: number;
  /** The longest payload that is read whole. Default 16 MiB. */
  readonly maxPayload?: number;
  /**
   * What payloads that are read whole may hold together on one connection while they come, not counting the oldest of them, which
   * always gets room. The others wait. A server refuses the newest where there are so many that their first pieces, a
   * quarter of `maxUnread` each, need more than half of this. Default 64 MiB.
   */
  readonly maxGathered?: number;
  /** How long to wait for the other side's greeting. 0: for ever. Default 10,000. */
  readonly helloWait?: number;
  /** How long a frame may take from its first byte to its last. 0: for ever. Default 30,000. */
  readonly frameWait?: number;
  /** The silence after which to ask for a sign of life. 0: never. Default 15,000. */
  readonly pingAfter?: number;
  /** How long to wait for that sign. Default 10,000. */
  readonly pingWait?: number;
}

/** The limits of one side, complete, and its HELLO. */
export interface LinkSettings extends Required<ChannelLimits> {
  readonly hello: Hello;
}

// Fits in the 32 bits of a frame's length, and is more than anyone needs.
const LARGEST = 0x3fff_ffff;

export function completeLimits(given: ChannelLimits): Required<ChannelLimits> {
  const maxFrame = wholeNumber('maxFrame', given.maxFrame, 65_536, LEAST_FRAME);
  return {
    maxFrame,
    maxUnread: wholeNumber('maxUnread', given.maxUnread, Math.max(1024 * 1024, 4 * maxFrame), 4 * maxFrame),
    maxPayload: wholeNumber('maxPayload', given.maxPayload, 16 * 1024 * 1024, 0),
    maxGathered: wholeNumber('maxGathered', given.maxGathered, 64 * 1024 * 1024, 0),
    helloWait: milliseconds('helloWait', given.helloWait, 10_000),
    frameWait: milliseconds('frameWait', given.frameWait, 30_000),
    pingAfter: milliseconds('pingAfter', given.pingAfter, 15_000),
    pingWait: milliseconds('pingWait', given.pingWait, 10_000),
  };
}

export const LIMIT_NAMES: readonly string[] = Object.keys(completeLimits({}));

/** The settings of a side. One request or reply gets a quarter of the connection's credit. */
export function linkSettings(
  given: ChannelLimits,
  { maxRequests, remembers, store }: Pick<Hello, 'maxRequests' | 'remembers' | 'store'>,
): LinkSettings {
  const limits = completeLimits(given);
  const { maxFrame, maxUnread: credit } = limits;
  const requestCredit = Math.floor(credit / 4);
  return {
    ...limits,
    hello: { versions: [VERSION, VERSION], maxFrame, maxRequests, credit, requestCredit, remembers, store },
  };
}

/** A copy of the options of one side, without a prototype. `names`: the options that it has besides the limits. */
export function copyOptions<Options extends ChannelLimits>(given: Options, names: readonly string[]): Options {
  if (!isObject(given)) throw optionError('options', 'an object', given);
  const options: Options = Object.assign(Object.create(null), given);
  checkNames('options', options, [...LIMIT_NAMES, ...names]);
  return options;
}

/** A callback of the program. What it throws becomes an uncaught error, and does not disturb the frames that come after it. */
export function checkCallback<Given extends unknown[]>(
  name: string,
  given: ((...values: Given) => void) | undefined,
): (...values: Given) => void {
  const callback = checkFunction(name, given);
  return (...values) => {
    try {
      callback?.(...values);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
}

export function wholeNumber(name: string, value: unknown, fallback: number, least: number): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= LARGEST) return value;
  throw optionError(name, `a whole number from ${least} to ${LARGEST}`, value);
}
