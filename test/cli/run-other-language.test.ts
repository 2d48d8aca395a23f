import assert from 'node:assert/strict';
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

/** Accepts connections, prints `asked` when a request has come, and answers it when its standard input ends: with its parent. */
const SERVER = `
import socket, sys
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
print('other listens', flush=True)
client, _ = server.accept()
client.recv(4096)
print('asked', flush=True)
sys.stdin.read()
`;

/** A program of Node with a server of its own, whose child in another language has one, too. */
const PROGRAM = `
const { spawn } = require('node:child_process');
require('node:http').createServer((_, response) => response.end('served')).listen(0, '127.0.0.1');
spawn(process.argv[1], ['-c', process.argv[2], process.argv[3]], { stdio: ['pipe', 'inherit', 'inherit'] });
`;

suite('run --inside, with a child of another language that has a server', { skip: needsPrograms(PYTHON) }, () => {
  const proof = prove('the report of clients who wait at a child of another language below run --inside');

  async function stop(asks: boolean) {
    using folder = makeFolder();
    const file = join(folder.path, 'report.json');
    const port = await freePort();
    const line = [process.execPath, '-e', PROGRAM, PYTHON, SERVER, String(port)];
    await using running = startLastcall(['run', '--inside', '--report', file, '--', ...line]);
    await running.prints(/^other listens$/m);
    const client = net.connect(port, '127.0.0.1');
    try {
      let received = '';
      client.on('data', (bytes) => (received += String(bytes))).on('error', () => {});
      if (asks) {
        client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        await running.prints(/^asked$/m);
      }
      running.signal('SIGTERM');
      await within('the end', running.ended);
      return { received, report: JSON.parse(readFileSync(file, 'utf8')), port };
    } finally {
      client.destroy();
    }
  }

  test('names the clients who wait there as a doubt', async (t) => {
    const { received, report, port } = await stop(true);
    assert.equal(received, '');
    const doubt = `1 client waited at 127.0.0.1:${port} at the signal, and lastcall/register is not in its process`;
    assert.deepEqual({ outcome: report.outcome, doubts: report.doubts }, { outcome: 'forced', doubts: [doubt] });
    proof.held(t, { owed: 1 });
    proof.lost(t, 1);
  });

  test('control: is in no doubt where none waits', async () => {
    const { report } = await stop(false);
    assert.deepEqual({ outcome: report.outcome, doubts: report.doubts }, { outcome: 'complete', doubts: [] });
  });
});
