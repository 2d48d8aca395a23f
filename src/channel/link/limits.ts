import { optionError } from '../../errors.ts';
import { milliseconds } from '../../option-checks.ts';
import { LEAST_FRAME, VERSION, type Hello } from '../wire/hello.ts';
import type { LinkWaits } from './link-watch.ts';

/** Limits that both sides have. Sizes are in bytes, times in milliseconds. */
export interface ChannelLimits {
  /** The longest payload of a frame that this side takes; longer payloads come in several. From 1,024. Default 65,536. */
  readonly maxFrame?: number;
  /** What may be on its way to this side, or unread in it, on one connection; at least four frames. Default 1 MiB. */
  readonly maxUnread?: number;
  /** The longest payload that is read whole. Default 16 MiB. */
  readonly maxPayload?: number;
  /**
   * What payloads that are read whole may hold together on one connection while they come in, besides the one that was begun first,
   * which always comes to its end. The others wait for room; where there are so many that a quarter of `maxUnread` for
   * each is more than half of this, a server refuses those that come last. Default 64 MiB.
   */
  readonly maxGathered?: number;
  /** How long the other side may take to greet; 0: as long as it likes. Default 10,000. */
  readonly helloWait?: number;
  /** How long a frame may take from its first byte to its last; 0: as long as it likes. Default 30,000. */
  readonly frameWait?: number;
  /** After how much silence to ask for a sign of life; 0: never. Default 15,000. */
  readonly pingAfter?: number;
  /** How long to wait for one. Default 10,000. */
  readonly pingWait?: number;
}

export const LIMIT_NAMES: readonly string[] = [
  'maxFrame',
  'maxUnread',
  'maxPayload',
  'maxGathered',
  'helloWait',
  'frameWait',
  'pingAfter',
  'pingWait',
] satisfies readonly (keyof ChannelLimits)[];

// What a frame's number can hold, and more than anybody means.
const LARGEST = 0x3fff_ffff;

/** The limits, checked and complete. */
export interface CompleteLimits extends LinkWaits {
  readonly maxFrame: number;
  readonly maxUnread: number;
  readonly maxPayload: number;
  readonly maxGathered: number;
}

export function completeLimits(given: ChannelLimits): CompleteLimits {
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

/** What a side with these limits says first. One request or reply gets a quarter of what the connection has. */
export function helloFor(
  { maxFrame, maxUnread }: CompleteLimits,
  { maxRequests, remembers, store }: Pick<Hello, 'maxRequests' | 'remembers' | 'store'>,
): Hello {
  const requestCredit = Math.floor(maxUnread / 4);
  return { versions: [VERSION, VERSION], maxFrame, maxRequests, credit: maxUnread, requestCredit, remembers, store };
}

export function wholeNumber(name: string, value: unknown, fallback: number, least: number): number {
  if (value === undefined) return fallback;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= LARGEST) return value;
  throw optionError(name, `a whole number from ${least} to ${LARGEST}`, value);
}
