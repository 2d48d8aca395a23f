import { writeSync } from 'node:fs';
import net from 'node:net';
import { loadLibc } from '../../src/linux/libc.ts';
import { descriptorOf } from '../../src/node/fields.ts';
import { answerEnds, awaitEnd } from './answer-ends.ts';
import { BODY, type ClientAnswer } from '../processes/messages.ts';
import { sharedNow } from '../processes/shared-clock.ts';

// Clients in a process of their own: node client.js HOST PORT CONNECTIONS PATH. Each asks once, keeps its connection, and
// answers the server's FIN with its own. They end with their standard input at the latest.
const AT_A_TIME = 200;
// One address of 127.0.0.0/8 has 28,000 ports.
const ADDRESSES = 20;

const [, , host = '', port = '', connections = '', path = '/'] = process.argv;
const count = Number(connections);
const request = `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`;

const sockets: net.Socket[] = [];
let answered = 0;

// Before anything is measured: it takes longer than a round trip.
loadLibc();
process.stdin.on('close', () => process.exit(0)).resume();
while (sockets.length < Math.min(count, AT_A_TIME)) connect();

function connect(): void {
  const localAddress = host.startsWith('127.') ? { localAddress: `127.0.0.${2 + (sockets.length % ADDRESSES)}` } : {};
  const socket = net.connect({ host, port: Number(port), ...localAddress });
  sockets.push(socket);
  socket.write(request);
  socket.on('data', (chunk) => {
    if (chunk.toString('latin1').endsWith(BODY)) countAnswered();
  });
}

function countAnswered(): void {
  answered += 1;
  if (sockets.length < count) connect();
  if (answered < count) return;
  tell({ kind: 'answered', lastByteAt: sharedNow() });
  const fds = sockets.map(descriptorOf).filter((fd) => fd !== undefined);
  const { ended, reset } = answerEnds(fds);
  // Some have ended before.
  tell({ kind: 'gone', ended: ended + count - fds.length, reset });
  // Node does not know that its descriptors are closed; and a process that ends counts where CPU time is measured.
  awaitEnd();
}

function tell(answer: ClientAnswer): void {
  writeSync(1, `${JSON.stringify(answer)}\n`);
}
