import assert from 'node:assert/strict';
import https from 'node:https';
import { suite, test } from 'node:test';
import { gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms, needsSuccess } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { startCommand, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { listen } from '../harness/servers.ts';
import { within } from '../harness/wait.ts';

// From 3.0 on it insists: an end without close_notify is an error to it ("unexpected eof while reading").
const IS_THREE = "openssl version | grep -Eq '^OpenSSL ([3-9]|[1-9][0-9])'";
const skip = needsPrograms('openssl') || needsSuccess('openssl 3 or later', ['sh', '-c', IS_THREE]);

suite('an idle https connection', { skip }, () => {
  for (const protocol of ['tls1_2', 'tls1_3']) {
    const proof = prove(`who is idle over ${protocol} is told that nothing more comes`);

    test(`gets close_notify before the FIN, by ${protocol}`, async (t) => {
      await using server = await listen(createServer());
      await using client = startClient(portOf(server), protocol);
      await client.prints(/served/);
      const { outcome, connections } = await gracefulClose(server, { idleWait: 100, lingerWait: 500 });
      const { ended, lateRequests } = connections;
      assert.deepEqual({ outcome, ended, lateRequests }, { outcome: 'complete', ended: 1, lateRequests: 0 });
      const { code, stderr } = await within('the end of the client', client.ended);
      assert.doesNotMatch(stderr, /unexpected eof/i);
      assert.equal(code, 0, stderr);
      proof.held(t, { idle: 1 });
    });

    test(`control: without close_notify the client complains, by ${protocol}`, async (t) => {
      await using server = await listen(createServer());
      const sockets: { destroy(): unknown }[] = [];
      server.on('connection', (socket) => sockets.push(socket));
      await using client = startClient(portOf(server), protocol);
      await client.prints(/served/);
      for (const socket of sockets) socket.destroy();
      assert.match((await within('the end of the client', client.ended)).stderr, /unexpected eof/i);
      proof.lost(t, 1);
    });
  }
});

function createServer(): https.Server {
  return https.createServer(makeCertificate(), (_, response) => response.end('served'));
}

/** openssl s_client, with one request on a connection that it keeps. */
function startClient(port: number, protocol: string): TestProcess {
  const target = ['-connect', `127.0.0.1:${port}`, `-${protocol}`];
  const client = startCommand(['openssl', 's_client', ...target, '-quiet', '-no_ign_eof']);
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  return client;
}
