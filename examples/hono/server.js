// Hono on Node that loses no client at a deploy. Run `node server.js`, then send SIGTERM.
import { setTimeout } from 'node:timers/promises';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { lastCall } from 'lastcall';

const app = new Hono();

app.get('/', (context) => context.text('hello\n'));

app.get('/slow', async (context) => {
  await setTimeout(1_000);
  return context.text('done\n');
});

app.post('/orders', async (context) => context.json({ accepted: (await context.req.json()).length }));

app.get('/export', (context) =>
  stream(context, async (output) => {
    for await (const row of rows()) await output.write(row);
  }),
);

// The server that serve() returns, not the app.
const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 8080) });
lastCall(server);

/** A megabyte, 16 KiB at a time. */
async function* rows() {
  for (let row = 0; row < 64; row += 1) {
    await setTimeout(10);
    yield `${row}`.padEnd(16_383).concat('\n');
  }
}
