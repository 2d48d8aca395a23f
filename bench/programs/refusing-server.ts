import http2 from 'node:http2';
import { createInterface } from 'node:readline';
import { makeCertificate } from '../../test/harness/certificate.ts';
import { listenAndTell } from './telling.ts';

// An HTTP/2 server under TLS that answers after a while: node refusing-server.js CONTENDER HOST, where the contender is lastcall,
// or close: Node's own session.close() for each session. A line on its standard input stops it; it ends with that input.
const [, , contender, host = '127.0.0.1'] = process.argv;

// Longer than a turn of the loop, so that streams are open at any time.
const ANSWER_AFTER = 5;

const sessions = new Set<http2.ServerHttp2Session>();
const server = http2.createSecureServer(makeCertificate());
server.on('session', (session) => sessions.add(session));
server.on('sessionError', () => {});
server.on('stream', (stream) => {
  stream.on('error', () => {});
  setTimeout(() => {
    if (stream.destroyed) return;
    stream.respond();
    stream.end('served');
  }, ANSWER_AFTER);
});
const { gracefulClose } = contender === 'lastcall' ? await import('lastcall') : {};
await listenAndTell(server, host);
const orders = createInterface({ input: process.stdin });
orders.on('line', () => {
  if (gracefulClose !== undefined) return void gracefulClose(server).then(() => process.exit(0));
  server.close(() => process.exit(0));
  for (const session of sessions) session.close();
});
orders.on('close', () => process.exit(0));
