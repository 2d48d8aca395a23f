import type { CloseReport } from '../../index.ts';
import type { StormCounts } from '../../storm/outcome.ts';
import { runStorm, type StormResult } from '../../storm/storm.ts';
import type { Way } from './messages.ts';
import { startServer } from './server-process.ts';

export interface StopOptions {
  readonly way: Way;
  readonly clients: number;
  /** 0 for any. */
  readonly port: number;
  readonly signal: AbortSignal;
  readonly onProgress: (counts: Readonly<StormCounts>) => void;
}

/** One stop under load: what the clients saw, and what the server reports. */
export interface Stop {
  readonly way: Way;
  readonly port: number;
  readonly storm: StormResult;
  readonly report: CloseReport | undefined;
}

/** About two seconds of the storm: by then the queue has its full depth. */
const SERVED_BEFORE_STOP = 1_000;
/** In ms; a server slower than this shows nothing about its way to stop. */
const STORM_DURATION = 15_000;

/** Starts a server and a storm of clients, stops the server, and waits until each client is answered or lost. */
export async function stopUnderLoad(options: StopOptions): Promise<Stop> {
  const { way, clients, signal, onProgress } = options;
  const server = await startServer(way, options.port, signal);
  try {
    const storm = runStorm({
      target: { host: '127.0.0.1', port: server.port },
      clients,
      duration: STORM_DURATION,
      onProgress,
      signal,
    });
    await storm.served(SERVED_BEFORE_STOP);
    server.stop();
    const result = await storm.finished;
    return { way, port: server.port, storm: result, report: await server.closed() };
  } finally {
    await server.end();
  }
}
