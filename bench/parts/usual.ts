import { type ChildProcess, fork } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import type { UsualAnswer, UsualPorts } from '../processes/messages.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';
import type { Run } from '../run.ts';

/** How long a stop takes with the clients that a service usually has. */
export interface UsualFigures {
  readonly clients: string;
  /** From the call to the report, in ms. */
  readonly duration: Spread;
  /** Of how many stops the report was `complete`. */
  readonly complete: number;
}

/** Clients of one sort. They come in and resolve; `over` ends what they do by timers. */
interface Population {
  readonly title: string;
  come(ports: UsualPorts, over: AbortSignal): Promise<unknown>;
}

const CLIENTS = 50;
const HOST = '127.0.0.1';
const server = fileURLToPath(new URL('../programs/usual-server.js', import.meta.url));

const POPULATIONS: readonly Population[] = [
  { title: 'nobody', come: () => Promise.resolve() },
  {
    title: 'idle browsers: a used connection and a silent spare one each',
    come: ({ web }, over) => each(() => Promise.all([used(web, over), silent(web, over)])),
  },
  {
    title: "a proxy's pool, in use",
    come: async ({ web }, over) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });
      over.addEventListener('abort', () => agent.destroy());
      await each(() => get(web, agent));
      void each(async () => {
        while (!over.aborted) {
          await sleep(100, undefined, { ref: false });
          await get(web, agent).catch(() => {});
        }
      });
    },
  },
  { title: 'WebSockets that are only pushed to', come: ({ web }, over) => each(() => webSocket(web, over)) },
  {
    title: 'WebSockets that spoke last, 1 s before the stop',
    come: async ({ web }, over) => {
      await each(async () => (await webSocket(web, over)).send('done'));
      await sleep(1_000);
    },
  },
  { title: 'event streams of browsers', come: ({ web }, over) => each(() => eventStream(web, over)) },
  {
    title: 'log shippers: a line every 100 ms, never an answer',
    come: ({ raw }, over) =>
      each(async () => {
        const socket = await connect(raw, over);
        const timer = setInterval(() => socket.writable && socket.write('a line\n'), 100);
        over.addEventListener('abort', () => clearInterval(timer));
      }),
  },
  {
    title: 'log shippers: the last line 1 s before the stop',
    come: async ({ raw }, over) => {
      await each(async () => (await connect(raw, over)).write('a line\n'));
      await sleep(1_000);
    },
  },
];

/** Stops a server with each population, in turn, and that again and again. */
export async function measureUsual(run: Run): Promise<readonly UsualFigures[]> {
  const stops = new Map(
    POPULATIONS.map((population) => [population, new Array<{ duration: number; complete: boolean }>()]),
  );
  for (let round = 1; round <= run.usual; round++) {
    for (const [population, results] of stops) {
      run.progress(`usual clients: round ${round} of ${run.usual}, ${population.title}`);
      results.push(await stopOnce(population, run.signal));
    }
  }
  return [...stops].map(([{ title }, results]) => ({
    clients: title,
    duration: spreadOf(results.map(({ duration }) => duration)),
    complete: results.filter(({ complete }) => complete).length,
  }));
}

async function stopOnce(
  population: Population,
  signal: AbortSignal,
): Promise<{ readonly duration: number; readonly complete: boolean }> {
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  const child = fork(server, { signal });
  child.on('error', () => {});
  try {
    const { ports } = await nextMessage(child, 'ports');
    await population.come(ports, over.signal);
    child.send('close');
    const { duration, outcome } = await nextMessage(child, 'outcome');
    return { duration, complete: outcome === 'complete' };
  } finally {
    over.abort();
    if (child.connected) child.disconnect();
  }
}

async function nextMessage<Key extends 'ports' | 'outcome'>(
  child: ChildProcess,
  key: Key,
): Promise<Extract<UsualAnswer, Record<Key, unknown>>> {
  const [message] = (await once(child, 'message')) as [UsualAnswer];
  if (!(key in message)) throw new Error(`Expected ${key} of the measured server`);
  return message as Extract<UsualAnswer, Record<Key, unknown>>;
}

async function each<T>(come: () => Promise<T>): Promise<readonly T[]> {
  return Promise.all(Array.from({ length: CLIENTS }, come));
}

async function used(port: number, over: AbortSignal): Promise<void> {
  const agent = new http.Agent({ keepAlive: true });
  over.addEventListener('abort', () => agent.destroy());
  await get(port, agent);
}

async function silent(port: number, over: AbortSignal): Promise<void> {
  await connect(port, over);
}

async function get(port: number, agent: http.Agent): Promise<void> {
  const request = http.get({ host: HOST, port, agent });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  await once(response.resume(), 'end');
}

async function eventStream(port: number, over: AbortSignal): Promise<void> {
  const request = http.get({
    host: HOST,
    port,
    path: '/events',
    headers: { accept: 'text/event-stream' },
    agent: false,
  });
  request.on('error', () => {});
  over.addEventListener('abort', () => request.destroy());
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  response.on('error', () => {}).resume();
}

async function webSocket(port: number, over: AbortSignal): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${HOST}:${port}`);
  over.addEventListener('abort', () => socket.terminate());
  await once(socket, 'open');
  return socket;
}

async function connect(port: number, over: AbortSignal): Promise<net.Socket> {
  const socket = net.connect(port, HOST).resume();
  socket.on('error', () => {});
  over.addEventListener('abort', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}
