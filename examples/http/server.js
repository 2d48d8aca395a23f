// A bare http server that loses no client at a deploy. Run `node server.js`, then send SIGTERM.
import http from 'node:http';
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { lastCall } from 'lastcall';

const routes = {
  'GET /': async (request, response) => response.end('hello\n'),
  'GET /slow': async (request, response) => {
    await setTimeout(1_000);
    response.end('done\n');
  },
  'POST /orders': async (request, response) => {
    const orders = await json(request);
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ accepted: orders.length }));
  },
  'GET /export': (request, response) => pipeline(Readable.from(rows()), response),
};

const server = http.createServer(async (request, response) => {
  const route = routes[`${request.method} ${request.url}`];
  try {
    if (route === undefined) response.writeHead(404).end();
    else await route(request, response);
  } catch (error) {
    response.destroy(error);
  }
});

server.listen(process.env.PORT ?? 8080);
lastCall(server);

/** A megabyte, 16 KiB at a time. */
async function* rows() {
  for (let row = 0; row < 64; row += 1) {
    await setTimeout(10);
    yield `${row}`.padEnd(16_383).concat('\n');
  }
}
