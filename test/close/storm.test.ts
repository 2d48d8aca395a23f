import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { count } from '../harness/counts.ts';
import { needsRoot } from '../harness/needs.ts';
import { otherNodes } from '../harness/other-nodes.ts';
import { fixture, forkNode, type NodeOptions, startFixture } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import {
  type StopUnderStorm,
  type StoppedUnderStorm,
  type StormRunnerSends,
  type StormServerSends,
  stopUnderStorm,
} from '../harness/storms.ts';
import { type Host, labMissing, openLab } from '../lab/lab.ts';

suite('a server under a storm, on loopback', () => {
  for (const clients of [300, 2_000]) {
    const proof = prove(`${clients} clients with a new connection for each request, on loopback`);

    test(`${clients} clients with a new connection per request: nobody is lost in any stop`, async (t) => {
      for (let stop = 1; stop <= count(20); stop++) {
        const stopped = await stopApart('graceful', clients);
        assertNobodyLost(stopped, 'refuse');
        const queued = stopped.report?.listeners[0]?.queued ?? 0;
        assert.ok(queued >= 100, `the queue held ${queued} when the gate shut`);
        proof.held(t, { queued });
      }
    });

    test(`control: a plain close with ${clients} clients resets them`, async (t) => {
      const { result } = await stopApart('plain', clients);
      assert.ok(result.counts.reset >= 100, `${result.counts.reset} were reset`);
      proof.lost(t, result.counts.reset);
    });
  }
});

for (const { title, path: node, missing } of otherNodes) {
  suite(`a server under a storm, on ${title}`, { skip: missing }, () => {
    const proof = prove(`300 clients with a new connection for each request, on ${title}`);

    test('300 clients with a new connection per request: nobody is lost in any stop', async (t) => {
      for (let stop = 1; stop <= count(20); stop++) {
        const stopped = await stopHere('graceful', 300, { node });
        assertNobodyLost(stopped, 'refuse');
        proof.held(t, { queued: stopped.report?.listeners[0]?.queued });
      }
    });

    test('control: a plain close resets them', async (t) => {
      const { result } = await stopHere('plain', 300, { node });
      assert.ok(result.counts.reset >= 100, `${result.counts.reset} were reset`);
      proof.lost(t, result.counts.reset);
    });
  });
}

suite('a server without privileges', { skip: needsRoot && `${needsRoot} to give it up` }, () => {
  const copy = needsRoot === false ? copyForEverybody() : undefined;
  after(() => copy?.remove());
  const asNobody = { uid: 65_534, gid: 65_534 };
  const proof = prove('300 clients of a server without privileges');

  test('as uid 65534 with no capabilities nobody is lost, by gate refuse', async (t) => {
    for (let stop = 1; stop <= count(20); stop++) {
      const stopped = await stopHere('graceful', 300, asNobody, copy?.server);
      assertNobodyLost(stopped, 'refuse');
      proof.held(t, { queued: stopped.report?.listeners[0]?.queued });
    }
  });

  test('control: as uid 65534 a plain close resets clients', async (t) => {
    const { result } = await stopHere('plain', 300, asNobody, copy?.server);
    assert.ok(result.counts.reset >= 100, `${result.counts.reset} were reset`);
    proof.lost(t, result.counts.reset);
  });
});

suite('a server over the wire, 25 ms one way', { skip: labMissing }, () => {
  for (const loss of [0, 0.05]) {
    const way = `${loss * 100} % loss each way`;
    const proof = prove(`300 clients over 25 ms one way, ${way}`);

    test(`300 clients, ${way}: nobody is lost in any stop`, async (t) => {
      for (let stop = 1; stop <= count(20); stop++) {
        const stopped = await stopOverTheWire('graceful', loss, stop);
        assertNobodyLost(stopped, 'refuse');
        const { halfOpen = 0, queued } = stopped.report?.listeners[0] ?? {};
        assert.ok(halfOpen > 0, 'half-open connections were there');
        proof.held(t, { queued, halfOpen });
      }
    });

    test(`control: a plain close, ${way}, resets clients`, async (t) => {
      const { result } = await stopOverTheWire('plain', loss, 1);
      assert.ok(result.lost > 0, 'somebody was lost');
      proof.lost(t, result.lost);
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
  options: NodeOptions = {},
  program: string = fixture('storm/storm-server'),
): Promise<StoppedUnderStorm> {
  await using server = forkNode<StormServerSends>(program, { ...options, args: ['127.0.0.1'] });
  await using client = startFixture<StormRunnerSends>('storm/storm-runner');
  return await stopUnderStorm({ how, server, client, host: '127.0.0.1', clients });
}

/**
 * On a loopback that is theirs alone, where there can be one: more clients than the queue holds have the kernel send SYN
 * cookies, and those are counted for all listeners of a network namespace, so that closes in other tests would wait for them.
 */
async function stopApart(how: 'graceful' | 'plain', clients: number): Promise<StoppedUnderStorm> {
  if (labMissing !== false) return stopHere(how, clients);
  await using lab = await openLab();
  return await stopOn(lab.server, lab.server, { how, host: '127.0.0.1', clients });
}

async function stopOverTheWire(how: 'graceful' | 'plain', loss: number, seed: number): Promise<StoppedUnderStorm> {
  await using lab = await openLab({ delay: 25, loss, seed });
  return await stopOn(lab.server, lab.client, { how, host: lab.server.ipv4, clients: 300 });
}

async function stopOn(
  serverHost: Host,
  clientHost: Host,
  stop: Pick<StopUnderStorm, 'how' | 'host' | 'clients'>,
): Promise<StoppedUnderStorm> {
  await using server = startFixture<StormServerSends>('storm/storm-server', { host: serverHost, args: [stop.host] });
  await using client = startFixture<StormRunnerSends>('storm/storm-runner', { host: clientHost });
  return await stopUnderStorm({ ...stop, server, client });
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
    server: join(folder, 'dist/test/fixtures/storm/storm-server.js'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
