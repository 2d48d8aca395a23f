import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readSync, writeSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { install, isContender, type Stop } from './contenders.ts';
import { type Answer, GONG, type Order } from './messages.ts';

// One measured server, in a process of its own: node server.js CONTENDER. It ends with its standard input at the latest.
const BACKLOG = 4_096;

const [, , contender] = process.argv;
if (!isContender(contender)) throw new Error(`Expected a contender, got ${contender}`);

let accepted = 0;
let answered = 0;
let answeredAs = Number.POSITIVE_INFINITY;
let onAnswered = (): void => {};

const server = http.createServer((_request, response) => {
  response.end('hello\n');
  answered += 1;
  if (answered === answeredAs) onAnswered();
});
const stop = await install(contender, server);
server.on('connection', () => {
  accepted += 1;
});
server.listen({ host: '127.0.0.1', port: 0, backlog: BACKLOG });
await once(server, 'listening');
tell({ kind: 'listening', port: portOf(server) });

const orders = createInterface({ input: process.stdin });
orders.on('line', (line) => void obey(JSON.parse(line)));
orders.on('close', () => process.exit(0));

async function obey({ order, queued }: { order: Order; queued: number }): Promise<void> {
  if (order === 'usage') tell({ kind: 'usage', cpu: cpuSoFar() });
  else if (order === 'queue and serve') await serveQueue(queued);
  else {
    if (order === 'queue and stop') awaitGong();
    await measureStop(stop);
  }
}

async function measureStop(begin: Stop): Promise<void> {
  const acceptedBefore = accepted;
  const cpuBefore = cpuSoFar();
  const began = performance.now();
  let gateAt = Number.POSITIVE_INFINITY;
  watchGate(() => {
    gateAt = Math.min(gateAt, performance.now());
  });
  await begin();
  const done = performance.now() - began;
  tell({
    kind: 'stopped',
    gate: gateAt - began,
    done,
    cpu: cpuSoFar() - cpuBefore,
    accepted: accepted - acceptedBefore,
  });
  process.exit(0);
}

/** The gate is shut when lastcall says so; for the others, when the call that closes the listener returns. */
function watchGate(onShut: () => void): void {
  if (contender === 'lastcall') {
    subscribe('lastcall:gate', onShut);
    return;
  }
  const close = net.Server.prototype.close;
  net.Server.prototype.close = function closeAndTell(...args) {
    const result = close.apply(this, args);
    onShut();
    return result;
  };
}

async function serveQueue(queued: number): Promise<void> {
  const served = new Promise<void>((resolve) => {
    onAnswered = resolve;
  });
  answeredAs = answered + queued;
  awaitGong();
  const cpuBefore = cpuSoFar();
  const began = performance.now();
  await served;
  tell({ kind: 'served', done: performance.now() - began, cpu: cpuSoFar() - cpuBefore });
}

/** Blocks the whole process: nothing is accepted meanwhile. */
function awaitGong(): void {
  readSync(GONG, Buffer.alloc(1));
}

/** Milliseconds of CPU time, user and system. */
function cpuSoFar(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

function tell(answer: Answer): void {
  writeSync(1, `${JSON.stringify(answer)}\n`);
}

function portOf(listening: net.Server): number {
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('The server does not listen on a port');
  return address.port;
}
