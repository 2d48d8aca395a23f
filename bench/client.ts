import { writeSync } from 'node:fs';
import net from 'node:net';
import { TCP_CLOSE } from '../src/linux/constants.ts';
import { connectionState } from '../src/linux/tcp-info.ts';
import { descriptorOf, onEndOfReads } from '../src/node-fields.ts';
import { BODY, type ClientAnswer } from './messages.ts';
import { sharedNow } from './shared-clock.ts';

// Clients in a process of their own: node client.js HOST PORT CONNECTIONS PATH. Each asks once, keeps its connection, and
// answers the server's FIN with its own, past Node's streams: the clients share the machine with what is measured. They end
// with their standard input at the latest.
const AT_A_TIME = 200;
// One address of 127.0.0.0/8 has 28,000 ports.
const ADDRESSES = 20;

const [, , host = '', port = '', connections = '', path = '/'] = process.argv;
const count = Number(connections);
const request = `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`;

let begun = 0;
let answered = 0;
let ended = 0;
let reset = 0;

process.stdin.on('close', () => process.exit(0)).resume();
while (begun < Math.min(count, AT_A_TIME)) connect();

function connect(): void {
  const localAddress = host.startsWith('127.') ? { localAddress: `127.0.0.${2 + (begun % ADDRESSES)}` } : {};
  begun += 1;
  const socket = net.connect({ host, port: Number(port), ...localAddress });
  socket.on('data', (chunk) => {
    if (chunk.toString('latin1').endsWith(BODY)) countAnswered();
  });
  socket.write(request);
  let hasFailed = false;
  socket.once('connect', () => {
    onEndOfReads(socket, () => {
      hasFailed ||= isReset(socket);
      socket.destroy();
    });
  });
  socket.on('error', () => {
    hasFailed = true;
  });
  socket.on('close', () => countGone(hasFailed));
}

/** After the server's end a connection waits for ours; after a reset it is closed. */
function isReset(socket: net.Socket): boolean {
  const fd = descriptorOf(socket);
  return fd !== undefined && connectionState(fd) === TCP_CLOSE;
}

function countAnswered(): void {
  answered += 1;
  if (answered === count) tell({ kind: 'answered', lastByteAt: sharedNow() });
  if (begun < count) connect();
}

function countGone(hasFailed: boolean): void {
  if (hasFailed) reset += 1;
  else ended += 1;
  if (ended + reset === count) tell({ kind: 'gone', ended, reset });
}

function tell(answer: ClientAnswer): void {
  writeSync(1, `${JSON.stringify(answer)}\n`);
}
