import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeFolder } from '../harness/folders.ts';
import { startLastcall } from '../harness/lastcall-command.ts';
import { needsPrograms } from '../harness/needs.ts';
import { freePort } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { within } from '../harness/wait.ts';

const PYTHON = '/usr/bin/python3';

/** Accepts a connection if it is told to, and ends with its parent. At the word `answer` it answers the request. */
const SERVER = `
import socket, sys
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print('other listens', flush=True)
if sys.argv[2] == 'accepts':
    client, _ = server.accept()
    client.recv(4096)
    print('asked', flush=True)
if sys.stdin.readline() == 'answer\\n':
    client.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nserved')
    print('answered', flush=True)
sys.stdin.read()
`;

/** A program of Node with a server of its own, whose child in another language has one, too: it may be told to answer in the stop, which goes on. */
const PROGRAM = `
const { spawn } = require('node:child_process');
const [python, script, port, how] = process.argv.slice(1);
require('node:http').createServer((_, response) => response.end('served')).listen(0, '127.0.0.1');
const child = spawn(python, ['-c', script, port, how === 'queues' ? how : 'accepts'], { stdio: ['pipe', 'pipe', 'inherit'] });
child.stdout.pipe(process.stdout);
if (how === 'answers') {
  process.once('SIGTERM', () => new Promise((resolve) => {
    child.stdout.on('data', (text) => String(text).includes('answered') && setTimeout(resolve, 500));
    child.stdin.write('answer\\n');
  }));
}
`;

/** The same in Node, by `spawn`: it is not started by the program's own options, and has no register. */
const NODE_SERVER = `
process.stdin.on('end', () => process.exit()).resume();
require('node:net')
  .createServer((client) => client.once('data', () => console.log('asked')))
  .listen(Number(process.argv[1]), '127.0.0.1', () => console.log('other listens'));
`;

/** Its child in Node begins to listen at SIGTERM, and the program waits for a request there. */
const LATE_PROGRAM = `
const { spawn } = require('node:child_process');
const [script, port, how] = process.argv.slice(1);
require('node:http').createServer((_, response) => response.end('served')).listen(0, '127.0.0.1', () => {
  if (how === 'late') console.log('program listens');
  else start();
});
function start() {
  const child = spawn(process.execPath, ['-e', script, port], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdout.pipe(process.stdout);
  return child;
}
if (how === 'late') {
  process.once('SIGTERM', () => new Promise((resolve) => {
    start().stdout.on('data', (text) => String(text).includes('asked') && setTimeout(resolve, 500));
  }));
}
`;

suite('run --inside, with a child of Node without register that has a server', () => {
  const proof = prove('the report of clients who wait at a child of Node below run --inside, which spawn has started');

  for (const how of ['early', 'late'] as const) {
    test(`names who waits for an answer there as a doubt, if it began to listen ${how === 'late' ? 'in the stop' : 'before it'}`, async (t) => {
      using folder = makeFolder();
      const file = join(folder.path, 'report.json');
      const port = await freePort();
      const line = [process.execPath, '-e', LATE_PROGRAM, NODE_SERVER, String(port), how];
      await using running = startLastcall(['run', '--inside', '--report', file, '--', ...line]);
      if (how === 'late') {
        await running.prints(/^program listens$/m);
        running.signal('SIGTERM');
      }
      await running.prints(/^other listens$/m);
      const client = net.connect(port, '127.0.0.1').on('error', () => {});
      try {
        client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        await running.prints(/^asked$/m);
        if (how === 'early') running.signal('SIGTERM');
        await within('the end', running.ended);
        assert.equal(client.bytesRead, 0);
        const { outcome, doubts } = JSON.parse(readFileSync(file, 'utf8'));
        assert.deepEqual({ outcome, doubts }, { outcome: 'forced', doubts: [unanswered(`127.0.0.1:${port}`)] });
        proof.held(t, { owed: 1 });
        proof.lost(t, 1);
      } finally {
        client.destroy();
      }
    });
  }
});

suite('run --inside, with a child of another language that has a server', { skip: needsPrograms(PYTHON) }, () => {
  const proof = prove('the report of clients who wait at a child of another language below run --inside');

  async function stop(how: 'accepts' | 'queues' | 'answers', asks = true) {
    using folder = makeFolder();
    const file = join(folder.path, 'report.json');
    const port = await freePort();
    const line = [process.execPath, '-e', PROGRAM, PYTHON, SERVER, String(port), how];
    await using running = startLastcall(['run', '--inside', '--report', file, '--', ...line]);
    await running.prints(/^other listens$/m);
    const client = net.connect(port, '127.0.0.1');
    try {
      let received = '';
      client.on('data', (bytes) => (received += String(bytes))).on('error', () => {});
      if (asks) {
        client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        if (how === 'queues') await once(client, 'connect');
        else await running.prints(/^asked$/m);
      }
      running.signal('SIGTERM');
      await within('the end', running.ended);
      const { outcome, doubts } = JSON.parse(readFileSync(file, 'utf8'));
      return { served: received.endsWith('served'), told: { outcome, doubts }, at: `127.0.0.1:${port}` };
    } finally {
      client.destroy();
    }
  }

  test('names who waits for an answer there as a doubt', async (t) => {
    const { served, told, at } = await stop('accepts');
    assert.deepEqual({ served, told }, { served: false, told: { outcome: 'forced', doubts: [unanswered(at)] } });
    proof.held(t, { owed: 1 });
    proof.lost(t, 1);
  });

  test('names who waits in the queue there as a doubt', async (t) => {
    const { served, told, at } = await stop('queues');
    const doubts = [`1 client waited in the queue of ${at} just before it was closed`, unanswered(at)];
    assert.deepEqual({ served, told }, { served: false, told: { outcome: 'forced', doubts } });
    proof.held(t, { queued: 1 });
    proof.lost(t, 1);
  });

  const NO_DOUBT = { outcome: 'complete', doubts: [] };

  test('control: is in no doubt where the child answers in the stop', async () => {
    const { served, told } = await stop('answers');
    assert.deepEqual({ served, told }, { served: true, told: NO_DOUBT });
  });

  test('control: is in no doubt where nobody waits', async () => {
    const { told } = await stop('accepts', false);
    assert.deepEqual(told, NO_DOUBT);
  });
});

function unanswered(at: string): string {
  const doubt = '1 client waited for an answer when the program, or a part of it, ended';
  return `${doubt}; lastcall/register is not in the process that serves ${at}`;
}
