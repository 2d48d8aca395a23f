import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { descriptorOf } from '../../src/node/fields.ts';
import { createNamingServer } from '../fixtures/sharing/share-orders.ts';
import { needsNamespaces, needsRoot } from '../harness/needs.ts';
import {
  askTenTimes,
  askWhoServes,
  observeFixture,
  type Program,
  type ProgramOptions,
} from '../harness/observed-program.ts';
import { portOf, queuedAt } from '../harness/ports.ts';
import { holdProcess } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until } from '../harness/wait.ts';
import { SOON } from './calls-servers.ts';

const NOBODY = 65_534;
const CLIENTS = 20;
const needsAloneInProc = needsNamespaces('--pid', '--fork', '--mount-proc');
const aloneInProc = needsAloneInProc === false;
/** Where /proc cannot be kept small the search may be too long for a busy host, which counts as shared just the same. */
const FOUND = aloneInProc ? /^process \d+ holds it too$/ : /holds it too$|^the search for other holders took longer/;

/** Two processes that listen on one socket: the one that closes, and who the other is. */
interface Pair {
  readonly closing: Program;
  readonly port: number;
  readonly other: string;
}

async function startPair(scope: Scope, name: string, options?: ProgramOptions): Promise<Pair> {
  const closing = scope.use(observeFixture(name, options));
  const { port = 0, facts } = await closing.next('listening');
  return { closing, port, other: String(facts?.other) };
}

/** This process listens and stays; a child of another uid, which may not look into us, is given the descriptor. */
async function startSupervised(scope: Scope): Promise<Pair> {
  const server = scope.use(await listen(createNamingServer()));
  const closing = scope.use(
    observeFixture('sharing/share-by-descriptor', {
      descriptors: [descriptorOf(server) ?? -1],
      uid: NOBODY,
      env: { LISTEN_FDS: '1' },
      listenPid: true,
    }),
  );
  const { facts } = await closing.next('listening');
  assert.equal(facts?.seesParent, false);
  return { closing, port: portOf(server), other: String(process.pid) };
}

interface Way {
  readonly name: string;
  readonly start: (scope: Scope) => Promise<Pair>;
  readonly reason: RegExp;
  readonly needsRoot?: boolean;
  /** The closing process holds no descriptor of the socket: even by its own word it cannot shut the gate. */
  readonly cannotShut?: boolean;
}

const WAYS: readonly Way[] = [
  {
    name: 'a child that inherited the descriptor',
    start: (scope) => startPair(scope, 'sharing/share-by-fork', { aloneInProc }),
    reason: FOUND,
  },
  {
    name: 'a supervisor of another uid that passed it by LISTEN_FDS and cannot be looked into',
    start: startSupervised,
    reason: /^it came to listen as a descriptor or handle$/,
    needsRoot: true,
  },
  {
    name: 'another cluster worker, where the primary hands connections out',
    start: (scope) => startPair(scope, 'sharing/share-by-cluster', { args: ['rr'] }),
    reason: /^a cluster worker's listener$/,
    cannotShut: true,
  },
  {
    name: 'another cluster worker, where each worker accepts',
    start: (scope) => startPair(scope, 'sharing/share-by-cluster', { args: ['none'] }),
    reason: /^a cluster worker's listener$/,
  },
  {
    name: 'a child to which it was sent over the message channel',
    start: (scope) => startPair(scope, 'sharing/share-by-message', { aloneInProc }),
    reason: FOUND,
  },
  {
    name: 'a parent from which it was received over the message channel',
    start: (scope) => startPair(scope, 'sharing/share-received'),
    reason: /^it came to listen as a descriptor or handle$/,
  },
  {
    name: 'a parent to which it was sent over the message channel',
    start: (scope) => startPair(scope, 'sharing/share-by-message-up', { aloneInProc }),
    reason: FOUND,
  },
];

for (const way of WAYS) {
  const skip = way.needsRoot === true && needsRoot;
  describe(`a listener shared with ${way.name}`, () => {
    it('is not gated: the close ends here, and the other goes on serving new clients', { skip }, async () => {
      await using scope = new Scope();
      const { closing, port, other } = await way.start(scope);
      assert.match((await askTenTimes(port)).join(), /^\d+(,\d+)?$/);
      const report = await closing.close(SOON);
      const [listener] = report.listeners;
      assert.equal(listener?.gate, 'shared');
      assert.match(listener?.reason ?? '', way.reason);
      assert.equal(report.outcome, 'complete');
      assert.deepEqual(await askTenTimes(port), [other]);
    });

    if (way.cannotShut !== true) {
      it('is taken down for both where the caller says that it is its own', { skip }, async () => {
        await using scope = new Scope();
        const { closing, port } = await way.start(scope);
        const report = await closing.close({ gate: 'own', ...SOON });
        assert.deepEqual(
          report.listeners.map(({ gate, reason }) => ({ gate, reason })),
          [{ gate: 'refuse', reason: undefined }],
        );
        assert.deepEqual(await askTenTimes(port), ['ECONNREFUSED']);
      });
    } else {
      it('cannot be gated at all by one who has no descriptor', async () => {
        await using scope = new Scope();
        const { closing, port, other } = await way.start(scope);
        const report = await closing.close({ gate: 'own', ...SOON });
        assert.equal(report.listeners[0]?.gate, 'none');
        assert.equal(report.listeners[0]?.reason, 'its descriptor was not found');
        assert.deepEqual(await askTenTimes(port), [other]);
      });
    }
  });
}

describe('a listener made by port', () => {
  // Alone in /proc: on a busy host the search is not over in time, and then the listener rightly counts as shared.
  it('is not shared with a child that does not hold it', { skip: needsAloneInProc }, async () => {
    await using scope = new Scope();
    const { closing, port } = await startPair(scope, 'sharing/share-by-message', { args: ['keep'], aloneInProc: true });
    const report = await closing.close(SOON);
    assert.deepEqual(
      report.listeners.map(({ gate, reason }) => ({ gate, reason })),
      [{ gate: 'refuse', reason: undefined }],
    );
    assert.deepEqual(await askTenTimes(port), ['ECONNREFUSED']);
  });
});

describe('a listener made by port in a child that has a message channel', () => {
  it('is not shared with the parent to which nothing was sent', async () => {
    await using scope = new Scope();
    const { closing, port } = await startPair(scope, 'sharing/share-by-message-up', { args: ['keep'] });
    const report = await closing.close(SOON);
    assert.deepEqual(
      report.listeners.map(({ gate, reason }) => ({ gate, reason })),
      [{ gate: 'refuse', reason: undefined }],
    );
    assert.deepEqual(await askTenTimes(port), ['ECONNREFUSED']);
  });
});

describe('the queue of a shared listener', () => {
  it('lives on with the other holder when one closes', async () => {
    await using scope = new Scope();
    const { closing, port, other } = await startPair(scope, 'sharing/share-by-fork');
    await holdProcess(Number(other));
    closing.order(`fill ${CLIENTS}`);
    const closed = closing.close({ ...SOON, idleWait: 10_000 });
    const early = Array.from({ length: CLIENTS }, () => askWhoServes(port));
    assert.equal((await closed).listeners[0]?.gate, 'shared');
    const late = Array.from({ length: CLIENTS }, () => askWhoServes(port));
    await until(`${CLIENTS} clients wait`, () => queuedAt(port) >= CLIENTS);
    process.kill(Number(other), 'SIGCONT');
    // The one that closes may have served those who were there before.
    for (const answer of await Promise.all(early)) assert.match(answer, /^\d+$/);
    assert.deepEqual(new Set(await Promise.all(late)), new Set([other]));
  });
});
