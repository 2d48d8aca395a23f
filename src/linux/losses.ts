import { Pace } from '../pace.ts';
import { type LossCounters, readLossCounters } from './tables/tcp-counters.ts';

/** What was counted at some time, by the clock of performance.now(). */
interface LossSample {
  readonly at: number;
  readonly counters: LossCounters;
}

/** How long a loss counts, in ms. Linux itself remembers the round trip that it has measured for an hour (net/ipv4/tcp_metrics.c). */
const COUNTS_FOR = 600_000;

/** How often the counters are read while a close asks, in ms. */
const READ_EVERY = 250;

/** Every host has this many segments without a loss to its credit: one loss among few segments says little. */
const CREDIT = 300;

/** The clients' segments may be one in this many: a service's traffic with its database has hardly a loss. */
const DILUTED = 10;

const pace = new Pace();
let samples: readonly LossSample[] = [];
let share = 0;
let readAt = Number.NEGATIVE_INFINITY;

/** Takes a sample. Called when a server begins to listen, and then every minute. */
export function sampleLosses(): void {
  const counters = readLossCounters();
  if (counters === undefined) return;
  const at = performance.now();
  const oldest = samples.findLast((sample) => sample.at <= at - COUNTS_FOR)?.at ?? Number.NEGATIVE_INFINITY;
  samples = [...samples.filter((sample) => sample.at >= oldest), { at, counters }];
}

/** The share of the segments that this host has had to send again in the last ten minutes; 0 where that is not known. */
export function recentLosses(): number {
  const now = performance.now();
  if (now - readAt < READ_EVERY || pace.wait > 0) return share;
  const counters = pace.measure(readLossCounters);
  if (counters !== undefined) share = sharesOf(counters, now);
  readAt = now;
  return share;
}

/** A host that has not listened for ten minutes may have seen its clients' losses before that. */
function sharesOf(counters: LossCounters, now: number): number {
  const sample = samples.findLast(({ at }) => at <= now - COUNTS_FOR);
  if (sample !== undefined) return shareLost(since(sample.counters, counters));
  const first = samples[0];
  return Math.max(shareLost(counters), first === undefined ? 0 : shareLost(since(first.counters, counters)));
}

/** The share of the segments that were lost, by these counters. */
export function shareLost({ segments, repeated, handshakes, repeatedHandshakes }: LossCounters): number {
  const share = repeated / (segments + CREDIT);
  // A SYN flood repeats SYN-ACKs in vain, and so do our own SYNs to a host that is gone. Then hardly anything else is lost.
  const most = (DILUTED * (repeated + 1)) / (segments + CREDIT);
  return Math.max(0, share, Math.min(most, repeatedHandshakes / (handshakes + CREDIT)));
}

function since(before: LossCounters, now: LossCounters): LossCounters {
  return {
    segments: now.segments - before.segments,
    repeated: now.repeated - before.repeated,
    handshakes: now.handshakes - before.handshakes,
    repeatedHandshakes: now.repeatedHandshakes - before.repeatedHandshakes,
  };
}
