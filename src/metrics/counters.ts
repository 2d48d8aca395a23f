import { Counter, Histogram } from 'prom-client';
import { channels, type ClosedMessage, type ConnectionMessage } from '../close/diagnostics.ts';
import { CUT_REASONS, PROTOCOLS } from '../close/report.ts';
import { METRIC_NAMES } from './names.ts';
import type { CompleteMetricsOptions } from './options.ts';

/** Up to the longest deadlines that supervisors leave time for, in seconds. */
const BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120];

/** What is counted from now on, by what the diagnostics channels tell of closes. `stop` ends that. */
export function makeCounters({ registry, prefix }: CompleteMetricsOptions): {
  readonly metrics: readonly (Counter | Histogram)[];
  readonly stop: () => void;
} {
  const registers = [registry];
  const ended = new Counter({
    name: prefix + METRIC_NAMES.ended,
    help: 'Connections that closes have brought to their end, by what they spoke.',
    labelNames: ['protocol'],
    registers,
  });
  const cut = new Counter({
    name: prefix + METRIC_NAMES.cut,
    help: 'Connections that closes have not brought to their end, by what they spoke and why.',
    labelNames: ['protocol', 'reason'],
    registers,
  });
  const late = new Counter({
    name: prefix + METRIC_NAMES.late,
    help: 'Requests that came after the last word on their connection.',
    registers,
  });
  const duration = new Histogram({
    name: prefix + METRIC_NAMES.duration,
    help: 'How long closes took, in seconds.',
    buckets: BUCKETS,
    registers,
  });
  // A series that begins with its first event has no increase to show for it.
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
