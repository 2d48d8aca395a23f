import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import tls from 'node:tls';
import { type CloseOptions, type CloseReport, gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

// A TLS 1.3 server sends session tickets when the client's Finished has come. A client may send its question with that: then the
// tickets are the last that the kernel has seen, and no answer.

// Longer than the end of a handshake, which is on the wire before it.
const QUESTION = Buffer.alloc(1_000, 'question');

suite('the first question of a TLS 1.3 client', { timeout: 60_000, skip: needsPrograms('openssl') }, () => {
  const proof = prove('the answer to a question that came with the end of a TLS 1.3 handshake');

  test('is answered, though the server has sent session tickets after it', async (t) => {
    const { heard, report } = await askWithFinished({});
    const { outcome, connections } = report;
    assert.deepEqual(
      { heard, outcome, late: connections.lateRequests },
      { heard: ['answer'], outcome: 'complete', late: 0 },
    );
    proof.held(t, { 'waiting for an answer': connections.ended });
  });

  test('control: is not answered with `answerWait: 0`', async (t) => {
    const { heard } = await askWithFinished({ answerWait: 0 });
    assert.deepEqual(heard, []);
    proof.lost(t, 1);
  });
});

async function askWithFinished(
  options: CloseOptions,
): Promise<{ readonly heard: readonly string[]; readonly report: CloseReport }> {
  await using scope = new Scope();
  const server = scope.use(await listen(tls.createServer({ ...makeCertificate(), minVersion: 'TLSv1.3' })));
  const asked = new Promise<net.Socket>((resolve) => {
    server.on('secureConnection', (socket) => socket.on('error', () => {}).once('data', () => resolve(socket)));
  });
  const wire = scope.use(await listenHolding(portOf(server)));
  const client = tls.connect({ port: portOf(wire.relay), host: '127.0.0.1', rejectUnauthorized: false });
  scope.defer(() => client.destroy());
  const heard: string[] = [];
  client.on('data', (words) => heard.push(String(words))).on('error', () => {});
  await once(client, 'secureConnect');
  client.write(QUESTION);
  await until('the end of the handshake and the question are on the wire', () => wire.held() > QUESTION.length);
  wire.release();
  const accepted = await asked;
  // Ticks of the kernel's clock.
  await wait(30);
  const closing = gracefulClose(server, { idleWait: 100, lingerWait: 500, deadline: 20_000, ...options });
  const ended = once(client, 'end');
  // Long after the close would have ended a client that waits for nothing. Time is what is tested.
  await wait(500);
  accepted.write('answer');
  await within('the end', ended);
  return { heard, report: await closing };
}

/** A relay that lets a client's first words pass, and holds the others. */
async function listenHolding(port: number) {
  const waiting: Buffer[] = [];
  let toServer: net.Socket | undefined;
  const relay = await listen(
    net.createServer((fromClient) => {
      const upstream = net.connect(port, '127.0.0.1').on('error', () => {});
      toServer = upstream;
      upstream.pipe(fromClient.on('error', () => {}));
      fromClient.once('data', (hello) => {
        upstream.write(hello);
        fromClient.on('data', (words) => waiting.push(words));
        fromClient.on('end', () => upstream.end());
      });
    }),
  );
  return {
    relay,
    held: () => Buffer.concat(waiting).length,
    release: () => void toServer?.write(Buffer.concat(waiting)),
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  };
}
