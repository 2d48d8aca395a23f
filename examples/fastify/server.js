// Fastify that loses nobody at a deploy: `node server.js`, then SIGTERM.
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import Fastify from 'fastify';
import { gracefulClose } from 'lastcall';

const app = Fastify();

app.get('/', () => 'hello\n');

app.get('/slow', async () => {
  await setTimeout(1_000);
  return 'done\n';
});

app.post('/orders', (request) => ({ accepted: request.body.length }));

app.get('/export', () => Readable.from(rows()));

await app.listen({ port: Number(process.env.PORT ?? 8080) });

process.once('SIGTERM', async () => {
  // All servers: for `localhost` Fastify listens on two addresses, and shows one of them only.
  const { outcome } = await gracefulClose('all');
  // Nobody is left to be answered 503, as Fastify does while it closes; its onClose hooks have their turn.
  await app.close();
  console.log(`closed: ${outcome}`);
});

/** A megabyte, 16 KiB at a time. */
async function* rows() {
  for (let row = 0; row < 64; row += 1) {
    await setTimeout(10);
    yield `${row}`.padEnd(16_383).concat('\n');
  }
}
