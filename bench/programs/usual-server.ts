import http from 'node:http';
import net from 'node:net';
import { gracefulClose } from 'lastcall';
import { WebSocketServer } from 'ws';
import type { UsualAnswer } from '../processes/messages.ts';

// The server of the usual populations, in a process of its own with a message channel: closed at the first message.
const PUSH_EVERY = 100;
const KEEP_ALIVE = 120_000;

const web = http.createServer({ keepAliveTimeout: KEEP_ALIVE }, (request, response) => {
  if (request.url !== '/events') {
    response.end('served\n');
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const push = setInterval(() => response.write('data: pushed\n\n'), PUSH_EVERY);
  response.on('close', () => clearInterval(push));
});
new WebSocketServer({ server: web }).on('connection', (socket) => {
  const push = setInterval(() => socket.send('pushed'), PUSH_EVERY);
  socket.on('close', () => clearInterval(push));
});
const raw = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.resume();
});

process.on('disconnect', () => process.exit());
process.once('message', () => void close());
send({ ports: { web: await listenAt(web), raw: await listenAt(raw) } });

async function close(): Promise<void> {
  const { outcome, duration } = await gracefulClose([web, raw]);
  send({ outcome, duration });
}

function listenAt(server: net.Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address !== null && typeof address === 'object') resolve(address.port);
    });
  });
}

function send(message: UsualAnswer): void {
  process.send?.(message);
}
