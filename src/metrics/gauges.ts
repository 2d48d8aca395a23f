import { Gauge } from 'prom-client';
import { currentState, LAST_CALL_STATES } from '../close/diagnostics.ts';
import { PROTOCOLS } from '../close/report.ts';
import { protocolOf } from '../connection/protocol.ts';
import { acceptedConnections } from '../connection/open-connections.ts';
import { countQueued } from '../listener/count-queues.ts';
import { countHalfOpen } from '../listener/half-open.ts';
import { listeningServers, listenersOf } from '../listener/listening.ts';
import { METRIC_NAMES } from './names.ts';
import type { CompleteMetricsOptions } from './options.ts';

/** What is asked for at each scrape. */
export function makeGauges({ registry, prefix }: CompleteMetricsOptions): readonly Gauge[] {
  const registers = [registry];
  return [
    new Gauge({
      name: prefix + METRIC_NAMES.state,
      help: 'Where the lastCall of the process is: 1 for its state, 0 for the others.',
      labelNames: ['state'],
      registers,
      collect() {
        const current = currentState();
        for (const state of LAST_CALL_STATES) this.set({ state }, state === current ? 1 : 0);
      },
    }),
    new Gauge({
      name: prefix + METRIC_NAMES.queued,
      help: 'Connections that wait in the accept queue of a listener.',
      labelNames: ['address'],
      registers,
      collect() {
        this.reset();
        for (const listener of listenersOf(listeningServers())) {
          const queued = countQueued(listener);
          if (queued !== undefined) this.set({ address: listener.name }, queued);
        }
      },
    }),
    new Gauge({
      name: prefix + METRIC_NAMES.halfOpen,
      help: 'Handshakes under way to the address of a listener.',
      labelNames: ['address'],
      registers,
      collect() {
        this.reset();
        const since = performance.now();
        for (const listener of listenersOf(listeningServers())) {
          this.set({ address: listener.name }, countHalfOpen(listener, since));
        }
      },
    }),
    new Gauge({
      name: prefix + METRIC_NAMES.open,
      help: 'Open connections by what they speak.',
      labelNames: ['protocol'],
      registers,
      collect() {
        for (const protocol of PROTOCOLS) this.set({ protocol }, 0);
        for (const { server, socket } of acceptedConnections()) this.inc({ protocol: protocolOf(server, socket) });
      },
    }),
  ];
}
