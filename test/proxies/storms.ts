import { runStorm, type Storm } from '../../src/storm/storm.ts';
import { BODY, CONCURRENCY, type LoadClient, type LoadResult } from './load-client.ts';

/** A roll takes seconds. */
const AT_MOST = 300_000;

/** POSTs of two storms: one makes a new connection for each, the other keeps its connections and pauses now and then. */
export const storms: LoadClient = {
  names: ['storm-new', 'storm-kept'],
  start: (origin) => {
    const over = new AbortController();
    const fresh = start(`${origin}/storm-new`, false, over.signal);
    const kept = start(`${origin}/storm-kept`, true, over.signal);
    return {
      stop: () => {
        for (const storm of [fresh, kept]) storm.stop();
      },
      [Symbol.asyncDispose]: async () => {
        over.abort();
        await Promise.all([fresh.finished, kept.finished]);
      },
      finished: Promise.all([resultOf(fresh), resultOf(kept)]).then(([ofFresh, ofKept]) => {
        return { 'storm-new': ofFresh, 'storm-kept': ofKept };
      }),
    };
  },
};

function start(url: string, keepAlive: boolean, signal: AbortSignal): Storm {
  const { hostname, port, host, pathname } = new URL(url);
  const head = [
    `POST ${pathname} HTTP/1.1`,
    `Host: ${host}`,
    `Content-Length: ${BODY.length}`,
    ...(keepAlive ? [] : ['Connection: close']),
  ];
  return runStorm({
    target: { host: hostname, port: Number(port) },
    clients: CONCURRENCY,
    keepAlive,
    thinkTime: keepAlive ? [0, 20] : [0, 0],
    request: Buffer.from(`${head.join('\r\n')}\r\n\r\n${BODY}`),
    duration: AT_MOST,
    timeout: 20_000,
    signal,
  });
}

/** Whoever is refused by the proxy itself has no answer either; only an idle connection may be closed. */
async function resultOf(storm: Storm): Promise<LoadResult> {
  const { counts } = await storm.finished;
  const { served, idleClosed: _, ...wrong } = counts;
  const errors = Object.entries(wrong).flatMap(([what, count]) => Array.from({ length: count }, () => what));
  return { requests: served, errors };
}
