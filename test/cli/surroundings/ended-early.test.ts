// A Node program below lastcall run that ends, or a part of it, before its own close is over.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import type { StopReport } from '../../../src/program/report.ts';
import { makeFolder } from '../../harness/folders.ts';
import { startLastcall } from '../../harness/lastcall-command.ts';
import { freePort, untilAccepted } from '../../harness/ports.ts';
import { countUnserved, queueClients } from '../../program/queued-clients.ts';

const HOST = '127.0.0.1';

/** Answers after 1 s, and may exit before. */
const answering = (exitAfter: number | undefined): string =>
  `require('node:http').createServer((_, response) => {
    console.log('asked');
    setTimeout(() => response.end('served'), 1_000);
    if (${exitAfter} !== undefined) setTimeout(() => process.exit(0), ${exitAfter});
  }).listen(Number(process.argv[1]), '${HOST}');`;

/** The same in a worker of a cluster, which may be killed before. */
const inWorker = (isKilled: boolean): string =>
  `if (require('node:cluster').isPrimary) require('node:cluster').fork();
  else {
    ${answering(undefined)}
    const { subscribe } = require('node:diagnostics_channel');
    if (${isKilled}) subscribe('http.server.request.start', () => setTimeout(process.kill, 700, process.pid, 'SIGKILL'));
  }`;

suite('a Node program with a request under way', () => {
  async function stop(source: string) {
    using folder = makeFolder();
    const file = join(folder.path, 'report.json');
    const port = await freePort();
    await using running = startLastcall(['run', '--report', file, '--', process.execPath, '-e', source, String(port)]);
    await untilAccepted({ port, host: HOST });
    using clients = await queueClients(1, { port, host: HOST });
    await running.prints(/asked/);
    running.signal('SIGTERM');
    const unserved = countUnserved(await clients.outcomes);
    const { code } = await running.ended;
    const { outcome, doubts }: StopReport = JSON.parse(readFileSync(file, 'utf8'));
    return { unserved, code, outcome, doubts };
  }

  test('that calls process.exit() in its own stop is in doubt, even if its exit code is 0', async () => {
    const doubts = ['it ended before its own close was over: what it was doing is lost'];
    assert.deepEqual(await stop(answering(700)), { unserved: 1, code: 0, outcome: 'forced', doubts });
  });

  test('control: if it has closed before, it is not', async () => {
    assert.deepEqual(await stop(answering(undefined)), { unserved: 0, code: 0, outcome: 'complete', doubts: [] });
  });
  test('in a worker of a cluster that is killed in its stop is in doubt', async () => {
    const doubts = ['by its own report clients were lost, or may have been'];
    assert.deepEqual(await stop(inWorker(true)), { unserved: 1, code: 0, outcome: 'forced', doubts });
  });

  test('control: in a worker that has closed it is not', async () => {
    assert.deepEqual(await stop(inWorker(false)), { unserved: 0, code: 0, outcome: 'complete', doubts: [] });
  });
});
