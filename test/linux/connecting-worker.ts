/** Connects clients, and wakes the blocked thread that asked for them when all are connected. */
import net from 'node:net';
import { workerData } from 'node:worker_threads';
import type { WorkerOrder } from './loopback.ts';

const { target, count, connected }: WorkerOrder = workerData;
const flag = new Int32Array(connected);
let open = 0;

for (let index = 0; index < count; index++) {
  const client = net.connect(target, () => {
    open += 1;
    if (open < count) return;
    Atomics.store(flag, 0, 1);
    Atomics.notify(flag, 0);
  });
  // The listener closes after the test, and resets clients that it has not accepted.
  client.on('error', () => {});
}
