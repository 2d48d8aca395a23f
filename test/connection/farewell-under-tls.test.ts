import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf, startServer } from '../close/calls-servers.ts';
import { certificateMissing, makeCertificate } from '../harness/certificate.ts';

const OPTIONS: CloseOptions = {
  idleWait: 300,
  lingerWait: 200,
  deadline: 8_000,
  farewell: { say: () => Buffer.from('closing\n') },
};

describe('the farewell of raw connections', { timeout: 30_000, skip: certificateMissing }, () => {
  it('waits for a TLS handshake that is under way', async (t) => {
    const finish: (() => void)[] = [];
    const SNICallback = (_: string, done: (error: null) => void): void => void finish.push(() => done(null));
    const accepted: tls.TLSSocket[] = [];
    const server = await startServer(
      t,
      tls.createServer({ ...makeCertificate(), SNICallback }, (socket) => {
        accepted.push(socket);
        socket.pipe(socket);
      }),
    );
    const client = tls.connect({ port: portOf(server), servername: 'localhost', rejectUnauthorized: false });
    t.after(() => client.destroy());
    const words = textOf(client);
    while (finish.length === 0) await new Promise(setImmediate);
    // Its handshake is done: it gets its words in the round in which the other is looked at, too.
    const ready = tls.connect({ port: portOf(server), rejectUnauthorized: false });
    t.after(() => ready.destroy());
    await once(ready, 'secureConnect');
    ready.write('hello');
    await once(ready, 'data');
    const readyWords = once(ready, 'data');
    const closing = gracefulClose(server, OPTIONS);
    assert.equal(String((await readyWords)[0]), 'closing\n');
    assert.equal(accepted.length, 1);
    for (const go of finish) go();
    await once(client, 'secureConnect');
    assert.equal(await words, 'closing\n');
    const { outcome, connections } = await closing;
    assert.deepEqual([outcome, connections.farewells.said, accepted.length], ['complete', 2, 2]);
  });

  it('is not said in clear text under TLS of the program’s own', async (t) => {
    const server = await startServer(
      t,
      net.createServer((socket) => {
        const secure = new tls.TLSSocket(socket, { ...makeCertificate(), isServer: true });
        secure.on('error', () => {}).pipe(secure);
      }),
    );
    const client = tls.connect({ port: portOf(server), rejectUnauthorized: false });
    t.after(() => client.destroy());
    const words = textOf(client);
    await once(client, 'secureConnect');
    client.write('hello');
    await once(client, 'data');
    const { outcome, connections } = await gracefulClose(server, OPTIONS);
    assert.equal(await words, 'hello');
    assert.deepEqual([outcome, connections.farewells.said], ['complete', 0]);
  });
});

/** What a client gets until the end. An error of TLS rejects. */
async function textOf(client: tls.TLSSocket): Promise<string> {
  let text = '';
  for await (const chunk of client) text += String(chunk);
  return text;
}
