import net from 'node:net';
import { type CookieCounters, readCookieCounters, releaseCookieCounters } from '../../linux/tables/proc-net.ts';
import { awaitCookies } from '../../listener/syn-cookies.ts';
import type { Listener } from '../../listener/listener.ts';
import type { ReachedListener } from './outside-gate.ts';

/** How long SYN cookies are waited for at the most, in milliseconds. */
const BOUNDS = { usual: 1_000, overflowed: 3_500 } as const;

/** What was counted when the program began; a stop of one that runs already has nothing. */
export function sampleCookies(): CookieCounters | undefined {
  const sample = readCookieCounters();
  releaseCookieCounters();
  return sample;
}

/**
 * Waits until the SYN cookies that are out have come back: a refused one would be reset. At once where the host has sent none since
 * `sample`, or none at all. `release` lets new connections in that were held back meanwhile, and is called once the gates are shut.
 */
export async function awaitCookiesOutside(
  listeners: readonly ReachedListener[],
  sample: CookieCounters | undefined,
  signal: AbortSignal,
): Promise<{ release(): void }> {
  const now = sampleCookies();
  if (now === undefined || now.sent <= (sample?.sent ?? 0)) return { release: () => {} };
  const waits = await Promise.all(
    listeners
      .filter(({ held }) => held.namespace.isOwn && held.socket.address.family !== 'Unix')
      .map((reached) => awaitCookies(asListener(reached), BOUNDS, signal, () => {})),
  );
  releaseCookieCounters();
  return { release: () => waits.forEach((wait) => wait.release()) };
}

/** As the library sees one of its own; `server` stands for none. */
function asListener({ held, fd }: ReachedListener): Listener {
  const { name, socket } = held;
  return { server: new net.Server(), address: socket.address, name, descriptor: () => fd, isOpen: () => true };
}
