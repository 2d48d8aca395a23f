import { Counter, Histogram } from 'prom-client';
import { channels, type ClosedMessage, type ConnectionMessage } from '../close/diagnostics.ts';
import { CUT_REASONS, PROTOCOLS } from '../close/report.ts';
import { METRIC_NAMES } from './names.ts';
import type { CompleteMetricsOptions } from './options.ts';

/** In seconds, up to the longest deadlines for which supervisors leave time. */
const BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120];

/** Counts the messages of the diagnostics channels about closes, from now on until `stop`. */
export function makeCounters({ registry, prefix }: CompleteMetricsOptions): {
  readonly metrics: readonly (Counter | Histogram)[];
  readonly stop: () => void;
} {
  const registers = [registry];
  const ended = new Counter({
    name: prefix + METRIC_NAMES.ended,
    help: 'Connections that closes have ended, by protocol.',
    labelNames: ['protocol'],
    registers,
  });
  const cut = new Counter({
    name: prefix + METRIC_NAMES.cut,
    help: 'Connections that closes have cut, by protocol and reason.',
    labelNames: ['protocol', 'reason'],
    registers,
  });
  const late = new Counter({
    name: prefix + METRIC_NAMES.late,
    help: 'Requests that came after the end of their connection was announced.',
    registers,
  });
  const duration = new Histogram({
    name: prefix + METRIC_NAMES.duration,
    help: 'Duration of closes, in seconds.',
    buckets: BUCKETS,
    registers,
  });
  // A series that begins with its first event does not show that event as an increase.
  for (const protocol of PROTOCOLS) {
    ended.inc({ protocol }, 0);
    for (const reason of CUT_REASONS) cut.inc({ protocol, reason }, 0);
  }

  const onConnection = (message: unknown): void => {
    const { protocol, cut: how } = message as ConnectionMessage;
    if (how === undefined) ended.inc({ protocol });
    else cut.inc({ protocol, reason: how.reason });
  };
  const onClosed = (message: unknown): void => {
    const report = message as ClosedMessage;
    late.inc(report.connections.lateRequests);
    duration.observe(report.duration / 1_000);
  };
  channels.connection.subscribe(onConnection);
  channels.closed.subscribe(onClosed);
  return {
    metrics: [ended, cut, late, duration],
    stop: () => {
      channels.connection.unsubscribe(onConnection);
      channels.closed.unsubscribe(onClosed);
    },
  };
}
