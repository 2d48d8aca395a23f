// Express that loses no client at a deploy. Run `node server.js`, then send SIGTERM.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import express from 'express';
import { lastCall } from 'lastcall';

const app = express();

app.get('/', (request, response) => response.send('hello\n'));

app.get('/slow', (request, response) => {
  setTimeout(() => response.send('done\n'), 1_000);
});

app.post('/orders', express.json(), (request, response) => response.json({ accepted: request.body.length }));

app.get('/export', (request, response) => pipeline(Readable.from(rows()), response));

// The server that listen() returns, not the app.
const server = app.listen(process.env.PORT ?? 8080);
lastCall(server);

/** A megabyte, 16 KiB at a time. */
async function* rows() {
  for (let row = 0; row < 64; row += 1) {
    await sleep(10);
    yield `${row}`.padEnd(16_383).concat('\n');
  }
}
