import http2 from 'node:http2';
import { createInterface } from 'node:readline';
import { BODY } from '../processes/messages.ts';
import { cpuSoFar, listenAndTell, tell } from './telling.ts';

// A measured HTTP/2 server, in clear: node http2-server.js CONTENDER HOST, where the contender is lastcall or close, which
// is without. Each line on its standard input asks for the CPU time so far; it ends with that input.
const [, , contender, host = '127.0.0.1'] = process.argv;

// What an application has loaded, whoever stops it. A process without a module serves HTTP/2 for up to a fifth less than the
// same one after any import of some size, be it of a package that it never calls.
for (const name of ['express', 'fastify', 'undici', 'ws']) await import(name);
if (contender === 'lastcall') await import('lastcall');

await listenAndTell(
  http2.createServer((_request, response) => {
    response.end(BODY);
  }),
  host,
);
const orders = createInterface({ input: process.stdin });
orders.on('line', () => tell({ kind: 'usage', cpu: cpuSoFar() }));
orders.on('close', () => process.exit(0));
