import { subscribe } from 'node:diagnostics_channel';
import { readSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { install, isContender, type Stop } from '../processes/contenders.ts';
import { BODY, GONG, HELD, HELD_PATH, type Order } from '../processes/messages.ts';
import { sharedNow } from '../processes/shared-clock.ts';
import { cpuSoFar, listenAndTell, tell } from './telling.ts';

// One measured server, in a process of its own: node server.js CONTENDER HOST. It ends with its standard input at the latest.
// Longer than any part takes: no server ends its idle connections before it is told to stop.
const KEEP_ALIVE = 120_000;

const [, , contender, host = '127.0.0.1'] = process.argv;
if (!isContender(contender)) throw new Error(`Expected a contender, got ${contender}`);

let accepted = 0;
let answered = 0;
let answeredAs = Number.POSITIVE_INFINITY;
let onAnswered = (): void => {};
const held: http.ServerResponse[] = [];
let heldAs = Number.POSITIVE_INFINITY;

const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE }, (request, response) => {
  if (request.url === HELD_PATH) {
    hold(response);
    return;
  }
  response.end(BODY);
  answered += 1;
  if (answered === answeredAs) onAnswered();
});
const stop = await install(contender, server);
server.on('connection', () => {
  accepted += 1;
});
await listenAndTell(server, host);

const orders = createInterface({ input: process.stdin });
orders.on('line', (line) => void obey(JSON.parse(line)));
orders.on('close', () => process.exit(0));

async function obey({ order, count }: { order: Order; count: number }): Promise<void> {
  if (order === 'usage') tell({ kind: 'usage', cpu: cpuSoFar() });
  else if (order === 'memory') tellMemory();
  else if (order === 'hold') tellWhenHolding(count);
  else if (order === 'queue and serve') await serveQueue(count);
  else {
    if (order === 'queue and stop') awaitGong();
    await measureStop(stop);
  }
}

async function measureStop(begin: Stop): Promise<void> {
  const acceptedBefore = accepted;
  const cpuBefore = cpuSoFar();
  if (held.length > 0) setTimeout(answerHeld, HELD);
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
    doneAt: sharedNow(),
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

function hold(response: http.ServerResponse): void {
  held.push(response);
  if (held.length === heldAs) tell({ kind: 'holding' });
}

function tellWhenHolding(count: number): void {
  heldAs = count;
  if (held.length === heldAs) tell({ kind: 'holding' });
}

function answerHeld(): void {
  for (const response of held) response.end(BODY);
}

function tellMemory(): void {
  if (global.gc === undefined) throw new Error('Memory is measured with --expose-gc');
  global.gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  tell({ kind: 'memory', heap: heapUsed + external, resident: rss });
}
