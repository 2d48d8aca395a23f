import assert from 'node:assert/strict';
import http2 from 'node:http2';
import type net from 'node:net';
import { suite, test } from 'node:test';
import { type CloseReport, gracefulClose } from '../../src/index.ts';
import { listen } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = http2.constants;

type Streams = readonly http2.ClientHttp2Stream[];

suite('the report of a close in which HTTP/2 streams are lost', () => {
  test('counts those that end in an error of their own, and says `forced`', async () => {
    const { outcome, ended, cut } = await closeWith(3, (_, [first, second]) => {
      first?.close(NGHTTP2_INTERNAL_ERROR);
      second?.close(NGHTTP2_INTERNAL_ERROR);
    });
    assert.deepEqual(
      { outcome, ended, cut },
      { outcome: 'forced', ended: 0, cut: [{ reason: 'reset by peer', streams: 2 }] },
    );
  });

  test('counts those that an error of the whole session ends', async () => {
    const { outcome, ended, cut } = await closeWith(3, (client) =>
      client.destroy(new Error('the client failed'), NGHTTP2_INTERNAL_ERROR),
    );
    assert.deepEqual(
      { outcome, ended, cut },
      { outcome: 'forced', ended: 0, cut: [{ reason: 'reset by peer', streams: 3 }] },
    );
  });

  test('counts those that are open at the deadline', async () => {
    const { outcome, ended, cut } = await closeWith(3, () => {}, 300);
    assert.deepEqual(
      { outcome, ended, cut },
      { outcome: 'forced', ended: 0, cut: [{ reason: 'deadline', streams: 3 }] },
    );
  });

  test('control: says `complete` where the client itself gives streams up', async () => {
    const { outcome, ended, cut } = await closeWith(3, (_, [first, second]) => {
      first?.close(NGHTTP2_CANCEL);
      second?.close(NGHTTP2_NO_ERROR);
    });
    assert.deepEqual({ outcome, ended, cut }, { outcome: 'complete', ended: 1, cut: [] });
  });

  test('control: says `complete` where the program itself fails', async () => {
    const { outcome, ended, cut } = await closeWith(3, (_client, _streams, [served]) => {
      served?.destroy(new Error('the program failed'));
    });
    assert.deepEqual({ outcome, ended, cut }, { outcome: 'complete', ended: 1, cut: [] });
  });
});

/** Closes a server with `count` open streams, has something done to them, and answers what is left, unless the deadline is first. */
async function closeWith(
  count: number,
  act: (client: http2.ClientHttp2Session, streams: Streams, served: readonly http2.ServerHttp2Stream[]) => void,
  deadline?: number,
): Promise<{ outcome: CloseReport['outcome']; ended: number; cut: readonly object[] }> {
  const open = new Set<http2.ServerHttp2Stream>();
  await using server = await listen(http2.createServer());
  server.on('stream', (stream) => {
    open.add(stream);
    stream.on('error', () => {});
    stream.on('close', () => open.delete(stream));
    stream.respond({ ':status': 200 });
  });
  server.on('sessionError', () => {});
  const client = http2.connect(`http://127.0.0.1:${(server.address() as net.AddressInfo).port}`);
  client.on('error', () => {});
  const streams = Array.from({ length: count }, () => client.request());
  const ends = streams.map((stream) => endOf(stream));
  await until('all have begun', () => open.size === count);
  const closing = gracefulClose(server, { deadline: deadline ?? 10_000 });
  await new Promise((resolve) => client.once('goaway', resolve));
  const served = [...open];
  act(client, streams, served);
  if (deadline === undefined) {
    await until('the server knows', () => open.size < count);
    for (const stream of open) stream.end('served');
  }
  const { outcome, connections } = await closing;
  await within('the ends of the streams', Promise.all(ends));
  const cut = connections.cut.map(({ reason, streams: lost }) => ({ reason, streams: lost }));
  return { outcome, ended: connections.ended, cut };
}

function endOf(stream: http2.ClientHttp2Stream): Promise<void> {
  stream.on('error', () => {});
  return new Promise((resolve) => stream.resume().once('close', () => resolve()));
}
