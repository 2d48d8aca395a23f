import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { listen } from '../harness/servers.ts';
import { Scope } from '../harness/scope.ts';
import { until } from '../harness/wait.ts';

const OPTIONS: CloseOptions = {
  idleWait: 300,
  lingerWait: 200,
  deadline: 8_000,
  farewell: { say: () => Buffer.from('closing\n') },
};

describe('the farewell of raw connections', { timeout: 180_000, skip: needsPrograms('openssl') }, () => {
  it('waits for a TLS handshake that is under way', async () => {
    await using scope = new Scope();
    const finish: (() => void)[] = [];
    const SNICallback = (_: string, done: (error: null) => void): void => void finish.push(() => done(null));
    const accepted: tls.TLSSocket[] = [];
    await using server = await listen(
      tls.createServer({ ...makeCertificate(), SNICallback }, (socket) => {
        accepted.push(socket);
        socket.pipe(socket);
      }),
    );
    const client = tls.connect({ port: portOf(server), servername: 'localhost', rejectUnauthorized: false });
    scope.defer(() => client.destroy());
    const words = textOf(client);
    await until('the handshake waits for its certificate', () => finish.length > 0);
    // Its handshake is done: it gets its words in the round in which the other is looked at, too.
    const ready = tls.connect({ port: portOf(server), rejectUnauthorized: false });
    scope.defer(() => ready.destroy());
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
    assert.deepEqual(
      { outcome, said: connections.farewells.said, accepted: accepted.length },
      { outcome: 'complete', said: 2, accepted: 2 },
    );
  });

  it('is said inside TLS of the program’s own', async () => {
    await using scope = new Scope();
    await using server = await listen(
      net.createServer((socket) => {
        const secure = new tls.TLSSocket(socket, { ...makeCertificate(), isServer: true });
        secure.on('error', () => {}).pipe(secure);
      }),
    );
    const client = tls.connect({ port: portOf(server), rejectUnauthorized: false });
    scope.defer(() => client.destroy());
    const words = textOf(client);
    await once(client, 'secureConnect');
    client.write('hello');
    await once(client, 'data');
    const { outcome, connections } = await gracefulClose(server, OPTIONS);
    assert.equal(await words, 'helloclosing\n');
    assert.deepEqual({ outcome, said: connections.farewells.said }, { outcome: 'complete', said: 1 });
  });
});

/** What a client gets until the end. An error of TLS rejects. */
async function textOf(client: tls.TLSSocket): Promise<string> {
  let text = '';
  for await (const chunk of client) text += String(chunk);
  return text;
}
