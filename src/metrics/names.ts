/** Every metric's name, without the caller's prefix; docs/metrics.md has a row for each. */
export const METRIC_NAMES = {
  state: 'lastcall_state',
  queued: 'lastcall_queued',
  halfOpen: 'lastcall_half_open',
  open: 'lastcall_connections',
  ended: 'lastcall_connections_ended_total',
  cut: 'lastcall_connections_cut_total',
  late: 'lastcall_late_requests_total',
  duration: 'lastcall_close_duration_seconds',
} as const;
