import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { pipeline } from 'node:stream';
import { describe, it } from 'node:test';
import { type CloseOptions, type CloseReport, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

// Node takes what is piped into a socket off it when that is ended, and writes nothing more: no error shows what is missing.

const OPTIONS: CloseOptions = { idleWait: 100, lingerWait: 2_000, deadline: 20_000 };

const PROXIES: Readonly<Record<string, (client: net.Socket, upstream: net.Socket) => void>> = {
  pipe: (client, upstream) => void client.pipe(upstream).pipe(client),
  pipeline: (client, upstream) => {
    pipeline(client, upstream, () => {});
    pipeline(upstream, client, () => {});
  },
};

for (const [name, join] of Object.entries(PROXIES)) {
  describe(`an answer that a proxy passes on with ${name}`, { timeout: 60_000, concurrency: true }, () => {
    it('is late, and in doubt, where it comes after our FIN', async () => {
      const { heard, report } = await askThrough(join, { answerWait: 300, answersAfter: 'the end' });
      const { outcome, doubts, connections } = report;
      assert.deepEqual({ heard, outcome, late: connections.lateRequests }, { heard: [], outcome: 'forced', late: 1 });
      assert.match(doubts.join('\n'), /^A client that spoke last got no answer/);
    });

    it('is none of it where there is none', async () => {
      const { report } = await askThrough(join, { answerWait: 300, answersAfter: 'never' });
      const { outcome, connections } = report;
      assert.deepEqual({ outcome, late: connections.lateRequests }, { outcome: 'complete', late: 0 });
    });

    it('control: comes before it, and is not late', async () => {
      const { heard, report } = await askThrough(join, { answerWait: 10_000, answersAfter: 'the question' });
      const { outcome, connections } = report;
      assert.deepEqual(
        { heard, outcome, late: connections.lateRequests },
        { heard: ['answer'], outcome: 'complete', late: 0 },
      );
    });
  });
}

async function askThrough(
  join: (client: net.Socket, upstream: net.Socket) => void,
  { answerWait, answersAfter }: { readonly answerWait: number; readonly answersAfter: string },
): Promise<{ readonly heard: readonly string[]; readonly report: CloseReport }> {
  await using scope = new Scope();
  const backend = scope.use(await listen(net.createServer((socket) => socket.on('error', () => {}))));
  const reached = once(backend, 'connection');
  const upstreams: net.Socket[] = [];
  const proxy = scope.use(
    await listen(
      net.createServer((socket) => {
        const upstream = net.connect(portOf(backend), '127.0.0.1').on('error', () => {});
        upstreams.push(upstream);
        scope.defer(() => upstream.destroy());
        join(
          socket.on('error', () => {}),
          upstream,
        );
      }),
    ),
  );
  const client = net.connect({ port: portOf(proxy), host: '127.0.0.1', allowHalfOpen: true });
  scope.defer(() => client.destroy());
  const heard: string[] = [];
  client.on('data', (words) => heard.push(String(words)));
  client.write('question');
  const [behind] = await reached;
  assert(behind instanceof net.Socket);
  await once(behind, 'data');
  const closing = gracefulClose(proxy, { ...OPTIONS, answerWait });
  const ended = once(client, 'end');
  if (answersAfter === 'the question') behind.write('answer');
  await within('the end', ended);
  if (answersAfter === 'the end') {
    behind.write('answer');
    await until('the proxy has the answer', () => upstreams[0]?.bytesRead === 'answer'.length);
  }
  client.end();
  return { heard, report: await closing };
}
