import { once } from 'node:events';
import http2 from 'node:http2';
import type { Run } from '../run.ts';
import { ServerProcess } from '../processes/server-process.ts';
import { type Spread, spreadOf } from '../report/statistics.ts';

/** Each opens a stream every millisecond until the server has said GOAWAY. */
export const REFUSED_SESSIONS = 10;
const BEFORE_THE_STOP = 300;
/** Milliseconds. */
const LONGEST_STOP = 5_000;

/** What became of HTTP/2 streams under TLS, counted for each stop. */
export interface RefusedFigures {
  readonly title: string;
  readonly contender: 'close' | 'lastcall';
  readonly served: Spread;
  /** As never processed: the client may send them again. */
  readonly refused: Spread;
  /** Any other end. */
  readonly cut: Spread;
}

interface Counts {
  served: number;
  refused: number;
  cut: number;
}

const CASES = [
  { title: 'session.close()', contender: 'close' },
  { title: 'lastcall', contender: 'lastcall' },
] as const;

/** Stops both in turn, and that again and again, so that a slow spell of the machine meets both alike. */
export async function measureRefused(run: Run): Promise<readonly RefusedFigures[]> {
  const stops = CASES.map((one) => ({ ...one, counts: new Array<Counts>() }));
  for (let round = 1; round <= run.refused; round++) {
    for (const { title, contender, counts } of stops) {
      run.progress(`refused streams: round ${round} of ${run.refused}, ${title}`);
      counts.push(await stopOnce(contender, run.signal));
    }
  }
  return stops.map(({ title, contender, counts }) => ({
    title,
    contender,
    served: spreadOf(counts.map(({ served }) => served)),
    refused: spreadOf(counts.map(({ refused }) => refused)),
    cut: spreadOf(counts.map(({ cut }) => cut)),
  }));
}

async function stopOnce(contender: 'close' | 'lastcall', signal: AbortSignal): Promise<Counts> {
  const server = await ServerProcess.start(contender, signal, { program: 'refusing-server' });
  const counts: Counts = { served: 0, refused: 0, cut: 0 };
  const connected = await Promise.all(Array.from({ length: REFUSED_SESSIONS }, () => connect(server.port)));
  const sessions = connected.map((session) => runSession(session, counts));
  await new Promise((resolve) => setTimeout(resolve, BEFORE_THE_STOP));
  server.order('stop');
  await Promise.all(sessions);
  await server.end();
  return counts;
}

async function connect(port: number): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  await once(session, 'connect');
  session.on('error', () => {});
  return session;
}

async function runSession(session: http2.ClientHttp2Session, counts: Counts): Promise<void> {
  const ended = new Promise((resolve) => session.once('close', resolve));
  const streams: Promise<void>[] = [];
  const timer = setInterval(() => {
    if (!session.closed && !session.destroyed) streams.push(ask(session, counts));
  }, 1);
  // Now and then Node's own close leaves a session open for ever.
  const late = setTimeout(() => session.destroy(), BEFORE_THE_STOP + LONGEST_STOP);
  await ended;
  clearTimeout(late);
  clearInterval(timer);
  await Promise.all(streams);
}

async function ask(session: http2.ClientHttp2Session, counts: Counts): Promise<void> {
  const stream = session.request();
  let text = '';
  stream.setEncoding('latin1');
  stream.on('data', (part: string) => {
    text += part;
  });
  stream.on('error', () => {});
  await new Promise((resolve) => stream.once('close', resolve));
  if (text === 'served') counts.served += 1;
  else if (stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM) counts.refused += 1;
  // Without an id it was never sent.
  else if (stream.id !== undefined) counts.cut += 1;
}
