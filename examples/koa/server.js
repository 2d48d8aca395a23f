// Koa that loses no client at a deploy. Run `node server.js`, then send SIGTERM.
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import Koa from 'koa';
import { lastCall } from 'lastcall';

const app = new Koa();

const routes = {
  'GET /': () => 'hello\n',
  'GET /slow': async () => {
    await setTimeout(1_000);
    return 'done\n';
  },
  'POST /orders': async (request) => ({ accepted: (await json(request)).length }),
  'GET /export': () => Readable.from(rows()),
};

app.use(async (context) => {
  const route = routes[`${context.method} ${context.path}`];
  if (route !== undefined) context.body = await route(context.req);
});

// The server that listen() returns, not the app.
const server = app.listen(process.env.PORT ?? 8080);
lastCall(server);

/** A megabyte, 16 KiB at a time. */
async function* rows() {
  for (let row = 0; row < 64; row += 1) {
    await setTimeout(10);
    yield `${row}`.padEnd(16_383).concat('\n');
  }
}
