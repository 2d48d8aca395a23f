import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, suite, test } from 'node:test';
import { type CloseReport, gracefulClose } from '../../src/index.ts';
import { makeFolder, type TestFolder } from '../harness/folders.ts';
import { prove } from '../harness/proof.ts';
import { listen } from '../harness/servers.ts';
import { within } from '../harness/wait.ts';

const CLIENTS = 6;

/** What sun_path of unix(7) holds, less its end mark. */
const LONGEST = 107;

for (const kind of ['path', 'abstract name'] as const) {
  suite(`a Unix listener with a ${kind}`, { skip: process.platform !== 'linux' && 'needs Linux' }, () => {
    const proof = prove(`clients of a Unix listener with a ${kind}`);

    test('serves who is queued and refuses who comes later', async (t) => {
      const { answers, newcomer, report, path } = await closeWithClients(kind, 'graceful');
      assert.deepEqual(
        answers,
        answers.map(() => 'served'),
      );
      assert.equal(newcomer, 'ECONNREFUSED');
      assert.equal(report?.outcome, 'complete');
      assert.equal(report?.listeners[0]?.gate, 'unix');
      assert.equal(report?.listeners[0]?.address, `unix:${path.replace('\0', '@')}`);
      // All have connected, and the loop has accepted one at the most.
      const queued = report?.listeners[0]?.queued ?? 0;
      assert.ok(queued >= CLIENTS - 1, `${queued} were queued`);
      assert.equal((report?.connections.atStart ?? 0) + (report?.connections.fromQueues ?? 0), CLIENTS);
      proof.held(t, { queued });
    });

    test('control: a plain close lets the queued down', async (t) => {
      const { answers } = await closeWithClients(kind, 'plain');
      const lost = answers.filter((answer) => answer !== 'served').length;
      assert.ok(lost >= CLIENTS - 1, answers.join(', '));
      proof.lost(t, lost);
    });
  });
}

suite('a Unix listener whose path is', { skip: process.platform !== 'linux' && 'needs Linux' }, () => {
  const before = process.cwd();
  let folder: TestFolder;
  beforeEach(() => {
    folder = makeFolder();
    process.chdir(folder.path);
  });
  afterEach(() => {
    process.chdir(before);
    folder[Symbol.dispose]();
  });

  test('called null is not taken for a handle of unknown origin', async () => {
    const server = net.createServer().listen('null');
    await once(server, 'listening');
    const [listener] = (await gracefulClose(server)).listeners;
    assert.deepEqual({ gate: listener?.gate, address: listener?.address }, { gate: 'unix', address: 'unix:null' });
  });

  test('as long as can be is found', async () => {
    const server = net.createServer().listen('x'.repeat(LONGEST));
    await once(server, 'listening');
    assert.equal((await gracefulClose(server)).listeners[0]?.gate, 'unix');
  });

  test('longer than can be is found where Node listens on what it has cut off', async (t) => {
    const server = net.createServer().listen('x'.repeat(LONGEST + 10));
    const error = await once(server, 'listening').then(
      () => undefined,
      (refused: NodeJS.ErrnoException) => refused,
    );
    if (error !== undefined) return t.diagnostic(`Node refuses it: ${error.code}`);
    assert.equal((await gracefulClose(server)).listeners[0]?.gate, 'unix');
  });
});

interface Closed {
  readonly path: string;
  /** What each client that was queued got: `served`, an error's code, or nothing before the end. */
  readonly answers: readonly string[];
  readonly newcomer: string;
  readonly report: CloseReport | undefined;
}

async function closeWithClients(kind: 'path' | 'abstract name', how: 'graceful' | 'plain'): Promise<Closed> {
  using folder = makeFolder();
  const path = kind === 'path' ? join(folder.path, 'app.sock') : `\0${folder.path}`;
  await using server = await listen(
    net.createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end('served'))),
    { path },
  );
  const clients = Array.from({ length: CLIENTS }, () => net.connect(path));
  const answers = clients.map(askAndRead);
  // A Unix client connects at once, without the server: all of them wait when the first of them knows.
  await once(clients.at(0)!, 'connect');
  const closing = how === 'graceful' ? gracefulClose(server) : undefined;
  if (how === 'plain') server.close();
  const newcomer = await askAndRead(net.connect(path));
  return { path, answers: await Promise.all(answers), newcomer, report: await closing };
}

async function askAndRead(socket: net.Socket): Promise<string> {
  const received: Buffer[] = [];
  let failure = '';
  socket.on('data', (chunk) => received.push(chunk));
  socket.on('error', (error) => {
    failure = 'code' in error ? String(error.code) : error.message;
  });
  socket.write('request');
  await within('the end of a client', new Promise((resolve) => socket.once('close', resolve)));
  return failure === '' ? Buffer.concat(received).toString() : failure;
}
