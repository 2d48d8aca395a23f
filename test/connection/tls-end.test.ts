import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import https from 'node:https';
import { suite, test } from 'node:test';
import type { Readable } from 'node:stream';
import { gracefulClose } from '../../src/index.ts';
import { portOf, startServer } from '../close/calls-servers.ts';
import { certificateMissing, makeCertificate } from '../harness/certificate.ts';

// OpenSSL from 3.0 on insists: an end without close_notify is an error to it ("unexpected eof while reading").
const version = Number(
  /^OpenSSL (\d+)/.exec(spawnSync('openssl', ['version'], { encoding: 'utf8' }).stdout ?? '')?.[1] ?? 0,
);
const skip =
  certificateMissing || (version >= 3 ? false : 'OpenSSL 3 or later is needed, which insists on close_notify');

suite('an idle https connection', { skip }, () => {
  for (const protocol of ['tls1_2', 'tls1_3']) {
    test(`gets close_notify before the FIN, by ${protocol}`, async (t) => {
      const server = await startServer(
        t,
        https.createServer(makeCertificate(), (_, response) => response.end('served')),
      );
      const client = startClient(portOf(server), protocol);
      t.after(() => client.kill());
      await client.heard(/served/);
      const { outcome, connections } = await gracefulClose(server, { idleWait: 100, lingerWait: 500 });
      assert.deepEqual([outcome, connections.ended, connections.lateRequests], ['complete', 1, 0]);
      const { code, errors } = await client.ended;
      assert.doesNotMatch(errors, /unexpected eof/i);
      assert.equal(code, 0, errors);
    });

    test(`control: without close_notify the client complains, by ${protocol}`, async (t) => {
      const server = https.createServer(makeCertificate(), (_, response) => response.end('served'));
      server.on('connection', (socket) => sockets.push(socket));
      const sockets: { destroy: () => void }[] = [];
      await startServer(t, server);
      const client = startClient(portOf(server), protocol);
      t.after(() => client.kill());
      await client.heard(/served/);
      for (const socket of sockets) socket.destroy();
      assert.match((await client.ended).errors, /unexpected eof/i);
    });
  }
});

interface Client {
  readonly heard: (pattern: RegExp) => Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly errors: string }>;
  readonly kill: () => void;
}

/** openssl s_client, with one request on a connection that it keeps. */
function startClient(port: number, protocol: string): Client {
  const child = spawn('openssl', [
    's_client',
    '-connect',
    `127.0.0.1:${port}`,
    `-${protocol}`,
    '-quiet',
    '-no_ign_eof',
  ]);
  child.stdin.on('error', () => {});
  child.stdin.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const output = collect(child.stdout);
  const errors = collect(child.stderr);
  return {
    heard: output.heard,
    ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, errors: errors.text() }))),
    kill: () => child.kill(),
  };
}

function collect(stream: Readable): {
  readonly text: () => string;
  readonly heard: (pattern: RegExp) => Promise<void>;
} {
  let text = '';
  const waiting = new Set<() => void>();
  stream.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    for (const resolve of waiting) resolve();
  });
  const heard = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(text)) {
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
  };
  return { text: () => text, heard };
}
