import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test } from 'node:test';
import { lingeringClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { listenHttp } from '../harness/servers.ts';

suite('lingeringClose cuts off', { concurrency: true }, () => {
  test('a client that sends as fast as it can, after 64 MiB', { timeout: 60_000 }, async () => {
    const { answer, milliseconds, read } = await lingerWith((socket) => {
      const piece = Buffer.alloc(65_536, 'x');
      const sendMore = (): void => {
        while (socket.writable && socket.write(piece));
      };
      socket.on('drain', sendMore);
      sendMore();
    });
    assert.equal(answer, 'whole');
    assert.ok(read > 64 * 1024 * 1024, `${read} bytes were read`);
    assert.ok(milliseconds < 20_000, `after ${milliseconds} ms`);
  });

  test('a client that says no more, after 2 s', { timeout: 60_000 }, async () => {
    const { answer, milliseconds } = await lingerWith(() => {});
    assert.equal(answer, 'whole');
    assert.ok(milliseconds > 1_900 && milliseconds < 5_000, `after ${milliseconds} ms`);
  });

  test('a client that sends for ever, a little at a time, after 30 s', { timeout: 60_000 }, async () => {
    const { answer, milliseconds } = await lingerWith((socket) => {
      const timer = setInterval(() => socket.write('more'), 200);
      socket.on('close', () => clearInterval(timer));
    });
    assert.equal(answer, 'whole');
    assert.ok(milliseconds > 29_900 && milliseconds < 35_000, `after ${milliseconds} ms`);
  });
});

/** A client that gets an early answer and then does as it is told; resolves when its server has let it go. */
async function lingerWith(
  goOn: (socket: net.Socket) => void,
): Promise<{ answer: string; milliseconds: number; read: number }> {
  await using server = await listenHttp((_, response) => {
    response.writeHead(413, { Connection: 'close' }).end('too large');
  });
  lingeringClose(server);
  const client = net.connect({ host: '127.0.0.1', port: portOf(server), allowHalfOpen: true });
  client.on('error', () => {});
  client.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${Number.MAX_SAFE_INTEGER}\r\n\r\n`);
  const [socket]: net.Socket[] = await once(server, 'connection');
  assert(socket !== undefined);
  let text = '';
  client.on('data', (chunk) => {
    text += chunk.toString();
  });
  await once(client, 'end');
  const began = performance.now();
  const closed = once(socket, 'close');
  goOn(client);
  await closed;
  client.destroy();
  const answer = text.endsWith('too large\r\n0\r\n\r\n') ? 'whole' : text;
  return { answer, milliseconds: performance.now() - began, read: socket.bytesRead };
}
