import assert from 'node:assert/strict';
import { type ChildProcess, fork, type ForkOptions } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { labMissing, openLab } from '../lab/lab.ts';
import { otherNodes } from '../other-nodes.ts';
import { type StoppedUnderStorm, stopUnderStorm, stormRunner, stormServer, stops } from './stop-under-storm.ts';

const started = new Set<ChildProcess>();
after(() => {
  for (const child of started) child.kill('SIGKILL');
});

suite('a server under a storm, on loopback', () => {
  for (const clients of [300, 2_000]) {
    test(`${clients} clients with a new connection per request: nobody is lost in any stop`, async (t) => {
      for (let stop = 1; stop <= stops(20); stop++) {
        const stopped = await stopApart('graceful', clients);
        assertNobodyLost(stopped, 'refuse');
        const queued = stopped.report?.listeners[0]?.queued ?? 0;
        assert.ok(queued >= 100, `the queue held ${queued} when the gate shut`);
        t.diagnostic(`${queued} queued, ${stopped.result.counts.served} served, 0 lost`);
      }
    });

    test(`control: a plain close with ${clients} clients resets them`, async (t) => {
      const { result } = await stopApart('plain', clients);
      assert.ok(result.counts.reset >= 100, `${result.counts.reset} were reset`);
      t.diagnostic(`${result.counts.reset} reset`);
    });
  }
});

for (const { title, path, missing } of otherNodes) {
  suite(`a server under a storm, on ${title}`, { skip: missing }, () => {
    test('300 clients with a new connection per request: nobody is lost in any stop', async () => {
      for (let stop = 1; stop <= stops(20); stop++) {
        assertNobodyLost(await stopHere('graceful', 300, { execPath: path }), 'refuse');
      }
    });

    test('control: a plain close resets them', async () => {
      const { result } = await stopHere('plain', 300, { execPath: path });
      assert.ok(result.counts.reset >= 100, `${result.counts.reset} were reset`);
    });
  });
}

suite('a server without privileges', { skip: process.getuid?.() === 0 ? false : 'needs root to give it up' }, () => {
  const copy = process.getuid?.() === 0 ? copyForEverybody() : undefined;
  after(() => copy?.remove());
  const asNobody = { uid: 65_534, gid: 65_534 };

  test('as uid 65534 with no capabilities nobody is lost, by gate refuse', async () => {
    for (let stop = 1; stop <= stops(20); stop++) {
      assertNobodyLost(await stopHere('graceful', 300, asNobody, copy?.server), 'refuse');
    }
  });

  test('control: as uid 65534 a plain close resets clients', async () => {
    const { result } = await stopHere('plain', 300, asNobody, copy?.server);
    assert.ok(result.counts.reset >= 100, `${result.counts.reset} were reset`);
  });
});

suite('a server over the wire, 25 ms one way', { skip: labMissing }, () => {
  for (const loss of [0, 0.05]) {
    const way = `${loss * 100} % loss each way`;
    test(`300 clients, ${way}: nobody is lost in any stop`, async (t) => {
      for (let stop = 1; stop <= stops(20); stop++) {
        const stopped = await stopOverTheWire('graceful', loss, stop);
        assertNobodyLost(stopped, 'refuse');
        const halfOpen = stopped.report?.listeners[0]?.halfOpen ?? 0;
        assert.ok(halfOpen > 0, 'half-open connections were there');
        t.diagnostic(`${stopped.report?.listeners[0]?.queued} queued, ${halfOpen} half-open, 0 lost`);
      }
    });

    test(`control: a plain close, ${way}, resets clients`, async (t) => {
      const { result } = await stopOverTheWire('plain', loss, 1);
      assert.ok(result.lost > 0, 'somebody was lost');
      t.diagnostic(`${result.lost} lost`);
    });
  }
});

function assertNobodyLost({ result, report }: StoppedUnderStorm, gate: string): void {
  assert.equal(result.lost, 0, JSON.stringify(result));
  assert.equal(result.counts.failed, 0, JSON.stringify(result));
  assert.ok(result.counts.served > 0);
  assert.equal(report?.outcome, 'complete');
  assert.equal(report?.listeners[0]?.gate, gate, report?.listeners[0]?.reason);
}

async function stopHere(
  how: 'graceful' | 'plain',
  clients: number,
  options: ForkOptions = {},
  program = stormServer,
): Promise<StoppedUnderStorm> {
  const server = keep(fork(program, ['127.0.0.1'], options));
  const client = keep(fork(stormRunner));
  return stopUnderStorm({ how, server, client, host: '127.0.0.1', clients });
}

/**
 * On a loopback that is theirs alone, where there can be one: more clients than the queue holds have the kernel send SYN
 * cookies, and those are counted for all listeners of a network namespace, so that closes in other tests would wait for them.
 */
async function stopApart(how: 'graceful' | 'plain', clients: number): Promise<StoppedUnderStorm> {
  if (labMissing !== false) return stopHere(how, clients);
  await using lab = await openLab();
  const server = lab.server.fork(stormServer, ['127.0.0.1']);
  const client = lab.server.fork(stormRunner);
  return await stopUnderStorm({ how, server, client, host: '127.0.0.1', clients });
}

async function stopOverTheWire(how: 'graceful' | 'plain', loss: number, seed: number): Promise<StoppedUnderStorm> {
  await using lab = await openLab({ delay: 25, loss, seed });
  const server = lab.server.fork(stormServer, ['0.0.0.0']);
  const client = lab.client.fork(stormRunner);
  return await stopUnderStorm({ how, server, client, host: lab.server.ipv4, clients: 300 });
}

function keep(child: ChildProcess): ChildProcess {
  started.add(child);
  child.once('exit', () => started.delete(child));
  return child;
}

/** The built program and the FFI where every user may read them, whatever the checkout's own rights. */
function copyForEverybody(): { server: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-'));
  chmodSync(folder, 0o755);
  const built = fileURLToPath(new URL('../..', import.meta.url));
  for (const part of ['src', 'test/fixtures'])
    cpSync(join(built, part), join(folder, 'dist', part), { recursive: true });
  const koffi = dirname(fileURLToPath(import.meta.resolve('koffi')));
  for (const name of ['koffi', '@koromix']) {
    cpSync(join(dirname(koffi), name), join(folder, 'node_modules', name), { recursive: true });
  }
  cpSync(join(built, '..', 'package.json'), join(folder, 'package.json'));
  return {
    server: join(folder, 'dist/test/fixtures/storm-server.js'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
