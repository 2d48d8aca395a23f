import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { findTree } from '../../src/program/find/process-tree.ts';
import { startLastcall } from '../harness/lastcall-command.ts';
import { type Ended, isAlive } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until } from '../harness/wait.ts';
import { Loopback } from '../linux/loopback.ts';
import { isDemoResult } from './demo-result.ts';

const QUICK = ['--clients', '100', '--stops', '1'];

async function lastcall(...args: readonly string[]): Promise<Ended> {
  await using running = startLastcall(args);
  return await running.ended;
}

suite('lastcall', () => {
  test('shows its help and its commands', async () => {
    const { code, stdout } = await lastcall('--help');
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: lastcall/);
    assert.match(stdout, /\n {2}demo /);
  });

  test('shows its version', async () => {
    const { code, stdout } = await lastcall('--version');
    assert.equal(code, 0);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });

  test('ends without output when its reader is gone', async () => {
    await using running = startLastcall(['--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    running.child.stdout?.destroy();
    const { code, stderr } = await running.ended;
    assert.deepEqual({ code, stderr }, { code: 141, stderr: '' });
  });

  test('reports that its result cannot be written', {
    skip: existsSync('/dev/full') ? false : 'needs /dev/full',
  }, async () => {
    const full = openSync('/dev/full', 'w');
    await using running = startLastcall(['--help'], { stdio: ['ignore', full, 'pipe'] });
    closeSync(full);
    const { code, stderr } = await running.ended;
    assert.equal(code, 2);
    assert.match(stderr, /^lastcall: cannot write the result: .*ENOSPC/);
  });

  test('reports an unknown command', async () => {
    const { code, stdout, stderr } = await lastcall('dmeo');
    assert.deepEqual({ code, stdout }, { code: 2, stdout: '' });
    assert.match(stderr, /unknown command 'dmeo'/);
  });
});

suite('lastcall demo', () => {
  test('shows its options and its exit codes', async () => {
    const { code, stdout } = await lastcall('demo', '--help');
    assert.equal(code, 0);
    for (const word of ['--clients', '--stops', '--port', '--json', 'Exit code']) assert(stdout.includes(word), word);
  });

  for (const [args, message] of [
    [['--clients', 'x'], /'--clients <number>' argument 'x' is invalid. Expected a whole number from 1 to 2000/],
    [['--stops', '0'], /Expected a whole number from 1 to 20/],
    [['--port', '65536'], /Expected a whole number from 0 to 65535/],
    [['--colour'], /unknown option '--colour'/],
    [['more'], /too many arguments/],
  ] as const) {
    test(`reports what is wrong with ${args.join(' ')}`, async () => {
      const { code, stdout, stderr } = await lastcall('demo', ...args);
      assert.deepEqual({ code, stdout }, { code: 2, stdout: '' });
      assert.match(stderr, message);
    });
  }

  test('reports that its port is in use', async () => {
    await using loopback = new Loopback();
    const { port } = await loopback.startListener();
    const { code, stdout, stderr } = await lastcall('demo', '--port', String(port));
    assert.deepEqual({ code, stdout }, { code: 2, stdout: '' });
    assert.match(stderr, /^lastcall: The server could not start: listen EADDRINUSE/m);
  });

  test('shows programs that the plain close loses clients and lastcall loses none', async (t) => {
    const proof = prove('100 clients of the server that lastcall demo stops');
    const { code, stdout, stderr } = await lastcall('demo', '--json', ...QUICK);
    const result: unknown = JSON.parse(stdout);
    assert.equal(code, 0, stdout);
    assert(isDemoResult(result));
    const [plain, graceful] = result.ways;
    assert(plain && graceful);
    assert.equal(result.clients, 100);
    assert.equal(result.verdict.ok, true);
    assert.equal(plain.way, 'server.close()');
    assert.equal(graceful.way, 'gracefulClose()');
    assert.equal(graceful.lost, 0);
    assert.equal(plain.lost, plain.counts.reset);
    for (const { counts, stops } of result.ways) {
      assert.equal(counts.refused, 100, 'each client leaves when it is refused');
      assert(counts.served >= 1_000);
      assert.equal(stops.length, 1);
    }
    const report = graceful.stops[0]?.report;
    assert.equal(report?.outcome, 'complete');
    const queued = report.listeners.reduce((sum, listener) => sum + listener.queued, 0);
    assert(queued > 0, 'clients were queued when the gate shut');
    assert.equal(stderr, 'server.close(), stop 1 of 1\ngracefulClose(), stop 1 of 1\n');
    proof.held(t, { queued });
    proof.lost(t, plain.lost);
  });

  for (const { signal, expected } of [
    { signal: 'SIGINT', expected: 130 },
    { signal: 'SIGTERM', expected: 143 },
  ] as const) {
    test(`ends at ${signal} with ${expected}, without a result, and leaves no server behind`, async () => {
      await using running = startLastcall(['demo', ...QUICK]);
      let server: number | undefined;
      await until('the server of the demo runs', () => {
        server = [...findTree(running.pid)].find(isServer);
        return server !== undefined;
      });
      running.signal(signal);
      const { code, stdout, stderr } = await running.ended;
      assert.deepEqual(
        { code, stdout, stderr },
        { code: expected, stdout: '', stderr: 'server.close(), stop 1 of 1\n' },
      );
      assert.equal(isAlive(server ?? 0), false);
    });
  }
});

/** A process may be gone since the tree was read. */
function isServer(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('demo-server');
  } catch {
    return false;
  }
}
