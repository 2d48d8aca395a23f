import { setTimeout as sleep } from 'node:timers/promises';
import { completeOptions } from '../../close/check-options.ts';
import { Close } from '../../close/close.ts';
import { channels } from '../../close/diagnostics.ts';
import type { CloseOptions } from '../../close/options.ts';
import type { CloseReport, ListenerReport } from '../../close/report.ts';
import { duplicate } from '../../linux/descriptors.ts';
import { loadLibc, requireLibc } from '../../linux/libc.ts';
import { isListening } from '../../linux/sockets.ts';
import { endListener } from '../../listener/end-listener.ts';
import {
  type ClusterAddress,
  type Listener,
  findPrimaryListener,
  nameOfClusterAddress,
} from '../../listener/listener.ts';
import { findSharingBeside } from '../../listener/sharing.ts';
import { connectionsInTransit } from '../../node/fields.ts';
import { Pace } from '../../pace.ts';

/** Nothing polls faster, in milliseconds. */
const LOOK_EVERY = 1;

/** What came of the sockets that a cluster's primary listens on for its workers. */
export interface DrainedPrimary {
  readonly report: CloseReport;
  /** Lets go of the addresses: until then nobody can listen there, as a worker that the program makes anew would. */
  readonly release: () => void;
}

/**
 * Shuts the gates of a cluster's primary, once for all workers (whose processes `workers` are), and waits until everyone in
 * the queues has been accepted by one of them. The sockets stay open: Node closes them when the last worker has left.
 */
export async function drainPrimary(
  addresses: readonly ClusterAddress[],
  workers: readonly number[],
  given: CloseOptions,
): Promise<DrainedPrimary> {
  const close = new Close(completeOptions(given), channels);
  const { clock, options } = close;
  const found = addresses.map(findPrimaryListener);
  const listeners = found.filter((listener) => listener !== undefined);
  const unfound = addresses.filter((_, index) => found[index] === undefined);
  const sharing = await findSharingBeside(options.ownGate ? [] : listeners, workers, clock);
  const ended = listeners.map((listener) => endListener(listener, close, () => sharing.get(listener)));
  const kept = listeners.flatMap(keepBound);
  const reports = (await Promise.all(ended)).map(({ report }) => report);
  // Accepted here, and not yet with a worker.
  const pace = new Pace();
  const inTransit = (): number => pace.measure(() => connectionsInTransit(isListening));
  while (listeners.length > 0 && inTransit() > 0 && !clock.deadline.aborted)
    await sleep(Math.max(LOOK_EVERY, pace.wait));
  clock.end();
  const report = close.report([...reports, ...withoutGate(unfound)]);
  return { report, release: () => kept.forEach((fd) => requireLibc().close(fd)) };
}

/** Where a socket is not found its queue is not drained, and the report says why. */
function withoutGate(addresses: readonly ClusterAddress[]): readonly ListenerReport[] {
  const loaded = loadLibc();
  const reason = loaded.available ? "the primary's socket was not found" : loaded.reason;
  const unknown = { queued: 0, halfOpen: 0, abandoned: 0, left: 0, cookies: 0, closedAfter: 0 };
  return addresses.map((address) => ({
    address: nameOfClusterAddress(address),
    gate: 'none',
    reason,
    ...unknown,
  }));
}

function keepBound(listener: Listener): readonly number[] {
  const fd = listener.descriptor();
  try {
    return fd === undefined ? [] : [duplicate(fd)];
  } catch {
    return [];
  }
}
