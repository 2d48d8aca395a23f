import { type CookieCounters, readCookieCounters, releaseCookieCounters } from '../../linux/tables/tcp-counters.ts';
import type { Listener } from '../../listener/listener.ts';
import { awaitCookies } from '../../listener/syn-cookies.ts';
import type { CopiedListener } from './copied-listener.ts';

/** The longest wait for SYN cookies, in ms. */
const BOUNDS = { usual: 1_000, overflowed: 3_500 } as const;

/** Reads the counters of SYN cookies once. */
export function sampleCookies(): CookieCounters | undefined {
  const sample = readCookieCounters();
  releaseCookieCounters();
  return sample;
}

/**
 * Waits until the SYN cookies that are out have come back: a client that comes back to a shut gate would be reset. Returns at once
 * if the host has sent none since `sample`. `release` ends the hold on new connections, and is called after the gates are shut; it
 * returns why clients may have been lost.
 */
export async function awaitProgramCookies(
  listeners: readonly CopiedListener[],
  sample: CookieCounters | undefined,
  signal: AbortSignal,
): Promise<{ release(): readonly string[] }> {
  const now = sampleCookies();
  if (now === undefined || now.sent <= (sample?.sent ?? 0)) return { release: () => [] };
  const waits = await Promise.all(
    listeners
      .filter(({ held }) => held.namespace.isOwn && held.socket.address.family !== 'Unix')
      .map((listener) => awaitCookies(asListener(listener), BOUNDS, signal, () => {})),
  );
  releaseCookieCounters();
  return {
    release: () => {
      for (const wait of waits) wait.release();
      const doubts = waits.map(({ doubt }) => doubt()).filter((doubt) => doubt !== undefined);
      releaseCookieCounters();
      return doubts;
    },
  };
}

/** The listener in the form of the library. */
function asListener({ held, fd }: CopiedListener): Listener {
  const { name, socket } = held;
  return { server: undefined, address: socket.address, name, descriptor: () => fd, isOpen: () => true };
}
