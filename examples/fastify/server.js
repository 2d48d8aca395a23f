// Fastify that loses no client at a deploy. Run `node server.js`, then send SIGTERM.
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import Fastify from 'fastify';
import { lastCall } from 'lastcall';

const app = Fastify();

app.get('/', () => 'hello\n');

app.get('/slow', async () => {
  await setTimeout(1_000);
  return 'done\n';
});

app.post('/orders', (request) => ({ accepted: request.body.length }));

app.get('/export', () => Readable.from(rows()));

await app.listen({ port: Number(process.env.PORT ?? 8080) });
// All servers: for `localhost` Fastify listens on two addresses, but shows only one. Fastify answers 503 while it
// closes, so its onClose hooks run when no client is left.
lastCall('all', { onDrained: () => app.close() });

/** A megabyte, 16 KiB at a time. */
async function* rows() {
  for (let row = 0; row < 64; row += 1) {
    await setTimeout(10);
    yield `${row}`.padEnd(16_383).concat('\n');
  }
}
