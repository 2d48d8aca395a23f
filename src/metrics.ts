import { makeCounters } from './metrics/counters.ts';
import { makeGauges } from './metrics/gauges.ts';
import { checkThatNew, completeMetricsOptions, type MetricsOptions, namesOf } from './metrics/options.ts';

export type { MetricsOptions, MetricsRegistry } from './metrics/options.ts';

/**
 * Puts the metrics of lastcall on a registry of prom-client. `lastcall_state`, `lastcall_queued`, `lastcall_half_open` and
 * `lastcall_connections` are read at each scrape. The others count connections, requests and seconds of the closes of this
 * process from now on. docs/metrics.md lists them. They do no work between two scrapes, or per request.
 *
 * @returns An undo function, which takes them off the registry. It may be called more than once.
 * @throws `LastCallError` with code `ERR_OPTION` for a wrong option, or if the registry has one of the metrics already.
 *
 * @example
 * ```ts
 * import http from 'node:http';
 * import { collectMetrics } from 'lastcall/metrics';
 * import { register } from 'prom-client';
 *
 * collectMetrics();
 * http
 *   .createServer(async (request, response) => {
 *     response.setHeader('Content-Type', register.contentType);
 *     response.end(await register.metrics());
 *   })
 *   .listen(9090);
 * ```
 */
export function collectMetrics(options?: MetricsOptions): () => void {
  const complete = completeMetricsOptions(options);
  checkThatNew(complete);
  const gauges = makeGauges(complete);
  const { metrics, stop } = makeCounters(complete);
  const ours: ReadonlySet<unknown> = new Set([...gauges, ...metrics]);
  return () => {
    stop();
    const { registry } = complete;
    for (const name of namesOf(complete)) {
      // The program may have put another one in its place.
      if (ours.has(registry.getSingleMetric(name))) registry.removeSingleMetric(name);
    }
  };
}
