import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { descriptorOf } from '../../src/node-fields.ts';
import { createNamingServer, portOf } from '../fixtures/sharing/share-orders.ts';
import { askTenTimes, type Program, type ProgramOptions, startProgram } from '../harness/observed-program.ts';

const NOBODY = 65_534;
const needsRoot = process.getuid?.() === 0 ? false : 'needs root';
const aloneInProc = needsRoot === false;
/** Where /proc cannot be kept small the search may be too long for a busy host, which counts as shared just the same. */
const FOUND = aloneInProc ? /^process \d+ holds it too$/ : /holds it too$|^the search for other holders took longer/;

/** Two processes that listen on one socket: the one that closes, and who the other is. */
interface Pair {
  readonly closing: Program;
  readonly port: number;
  readonly other: string;
}

async function startPair(t: TestContext, name: string, options?: ProgramOptions): Promise<Pair> {
  const closing = startProgram(t, name, options);
  const { port = 0, facts } = await closing.next('listening');
  return { closing, port, other: String(facts?.other) };
}

/** This process listens and stays; a child of another uid, which may not look into us, is given the descriptor. */
async function startSupervised(t: TestContext): Promise<Pair> {
  const server = createNamingServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const closing = startProgram(t, 'sharing/share-by-descriptor.js', {
    descriptors: [descriptorOf(server) ?? -1],
    uid: NOBODY,
    env: { LISTEN_FDS: '1' },
    listenPid: true,
  });
  const { facts } = await closing.next('listening');
  assert.equal(facts?.seesParent, false);
  return { closing, port: portOf(server), other: String(process.pid) };
}

interface Way {
  readonly name: string;
  readonly start: (t: TestContext) => Promise<Pair>;
  readonly reason: RegExp;
  readonly needsRoot?: boolean;
  /** The closing process holds no descriptor of the socket: even by its own word it cannot shut the gate. */
  readonly cannotShut?: boolean;
}

const WAYS: readonly Way[] = [
  {
    name: 'a child that inherited the descriptor',
    start: (t) => startPair(t, 'sharing/share-by-fork.js', { aloneInProc }),
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
    start: (t) => startPair(t, 'sharing/share-by-cluster.js', { args: ['rr'] }),
    reason: /^a cluster worker's listener$/,
    cannotShut: true,
  },
  {
    name: 'another cluster worker, where each worker accepts',
    start: (t) => startPair(t, 'sharing/share-by-cluster.js', { args: ['none'] }),
    reason: /^a cluster worker's listener$/,
  },
  {
    name: 'a child to which it was sent over the message channel',
    start: (t) => startPair(t, 'sharing/share-by-message.js', { aloneInProc }),
    reason: FOUND,
  },
  {
    name: 'a parent from which it was received over the message channel',
    start: (t) => startPair(t, 'sharing/share-received.js'),
    reason: /^it came to listen as a descriptor or handle$/,
  },
  {
    name: 'a parent to which it was sent over the message channel',
    start: (t) => startPair(t, 'sharing/share-by-message-up.js', { aloneInProc }),
    reason: FOUND,
  },
];

for (const way of WAYS) {
  const skip =
    way.needsRoot === true && process.getuid?.() !== 0 ? 'needs root, to start a child of another uid' : false;
  describe(`a listener shared with ${way.name}`, () => {
    it('is not gated: the close ends here, and the other goes on serving new clients', { skip }, async (t) => {
      const { closing, port, other } = await way.start(t);
      assert.match((await askTenTimes(port)).join(), /^\d+(,\d+)?$/);
      const report = await closing.close({ idleWait: 100, lingerWait: 100 });
      const [listener] = report.listeners;
      assert.equal(listener?.gate, 'shared');
      assert.match(listener?.reason ?? '', way.reason);
      assert.equal(report.outcome, 'complete');
      assert.deepEqual(await askTenTimes(port), [other]);
    });

    if (way.cannotShut !== true) {
      it('is taken down for both where the caller says that it is its own', { skip }, async (t) => {
        const { closing, port } = await way.start(t);
        const report = await closing.close({ gate: 'own', idleWait: 100, lingerWait: 100 });
        assert.deepEqual(
          report.listeners.map(({ gate, reason }) => ({ gate, reason })),
          [{ gate: 'refuse', reason: undefined }],
        );
        assert.deepEqual(await askTenTimes(port), ['ECONNREFUSED']);
      });
    } else {
      it('cannot be gated at all by one who has no descriptor', async (t) => {
        const { closing, port, other } = await way.start(t);
        const report = await closing.close({ gate: 'own', idleWait: 100, lingerWait: 100 });
        assert.equal(report.listeners[0]?.gate, 'none');
        assert.equal(report.listeners[0]?.reason, 'its descriptor was not found');
        assert.deepEqual(await askTenTimes(port), [other]);
      });
    }
  });
}

describe('a listener made by port', () => {
  // Alone in /proc: on a busy host the search is not over in time, and then the listener rightly counts as shared.
  it('is not shared with a child that does not hold it', { skip: needsRoot }, async (t) => {
    const { closing, port } = await startPair(t, 'sharing/share-by-message.js', { args: ['keep'], aloneInProc: true });
    const report = await closing.close({ idleWait: 100, lingerWait: 100 });
    assert.deepEqual(
      report.listeners.map(({ gate, reason }) => ({ gate, reason })),
      [{ gate: 'refuse', reason: undefined }],
    );
    assert.deepEqual(await askTenTimes(port), ['ECONNREFUSED']);
  });
});

describe('a listener made by port in a child that has a message channel', () => {
  it('is not shared with the parent to which nothing was sent', async (t) => {
    const { closing, port } = await startPair(t, 'sharing/share-by-message-up.js', { args: ['keep'] });
    const report = await closing.close({ idleWait: 100, lingerWait: 100 });
    assert.deepEqual(
      report.listeners.map(({ gate, reason }) => ({ gate, reason })),
      [{ gate: 'refuse', reason: undefined }],
    );
    assert.deepEqual(await askTenTimes(port), ['ECONNREFUSED']);
  });
});

describe('the queue of a shared listener', () => {
  it('lives on with the other holder when one closes', async (t) => {
    const { closing, port, other } = await startPair(t, 'sharing/share-by-fork.js');
    closing.order('block 200');
    const report = closing.close({ idleWait: 100, lingerWait: 100 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => askTenTimes(port)));
    assert.equal((await report).listeners[0]?.gate, 'shared');
    for (const answer of answers.flat()) assert.match(answer, /^\d+$/);
    assert.deepEqual(await askTenTimes(port), [other]);
  });
});
