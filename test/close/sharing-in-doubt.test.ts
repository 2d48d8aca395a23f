import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { askTenTimes, type Program, type ProgramOptions, startProgram } from '../harness/observed-program.ts';
import { ask, SOON } from './calls-servers.ts';

const CLIENTS = 60;
const isRoot = process.getuid?.() === 0;
const aloneInProc = isRoot;
/** Where /proc cannot be kept small the search may take too long, which counts as shared just the same. */
const FOUND = aloneInProc ? /^process \d+ holds it too$/ : /holds it too$|^the search for other holders took longer/;
// On a busy host the search is not over in time, and then the listener rightly counts as shared.
const needsAloneInProc = isRoot ? false : 'needs root, to be alone in /proc';
const needsRoot = isRoot ? false : 'needs root';

/** A process that is to close its listener, and what it told when it listened. */
interface Started {
  readonly closing: Program;
  readonly port: number;
  readonly facts: Readonly<Record<string, unknown>>;
}

async function start(t: TestContext, name: string, options?: ProgramOptions): Promise<Started> {
  const closing = startProgram(t, name, options);
  const { port = 0, facts = {} } = await closing.next('listening');
  return { closing, port, facts };
}

async function assertLeftToTheOther({ closing, port, facts }: Started, reason: RegExp): Promise<void> {
  assert.match((await askTenTimes(port)).join(), /^\d+(,\d+)?$/);
  const report = await closing.close(SOON);
  const [listener] = report.listeners;
  assert.equal(listener?.gate, 'shared');
  assert.match(listener?.reason ?? '', reason);
  assert.equal(report.outcome, 'complete');
  assert.deepEqual(await askTenTimes(port), [String(facts.other)]);
}

async function assertGated({ closing, port }: Started): Promise<void> {
  const report = await closing.close(SOON);
  assert.deepEqual(
    report.listeners.map(({ gate, reason }) => ({ gate, reason })),
    [{ gate: 'refuse', reason: undefined }],
  );
  assert.deepEqual(await askTenTimes(port), ['ECONNREFUSED']);
}

for (const { policy, where } of [
  { policy: 'rr', where: 'where the primary hands connections out' },
  { policy: 'none', where: 'where each worker accepts' },
]) {
  describe(`the listener of a cluster worker whose earlier one was exclusive, ${where}`, () => {
    it('is not gated: the other worker goes on serving new clients', async (t) => {
      const started = await start(t, 'sharing/share-by-cluster-anew.js', { args: [policy] });
      assert.equal(started.facts.otherPort, started.port);
      await assertLeftToTheOther(started, /^a cluster worker's listener$/);
    });

    it('has its control: the exclusive one is gated', async (t) => {
      const started = await start(t, 'sharing/share-by-cluster-anew.js', { args: [policy, 'exclusive'] });
      assert.notEqual(started.facts.otherPort, started.port);
      await assertGated(started);
    });
  });
}

describe('a listener of a child with a message channel that listened before lastcall was imported', () => {
  it('is not gated where the parent was sent it: the parent goes on serving new clients', async (t) => {
    const started = await start(t, 'sharing/share-before-import.js', { aloneInProc });
    assert.equal(started.facts.wasSeen, false);
    await assertLeftToTheOther(started, FOUND);
  });

  it('has its control: the child that kept it is gated', { skip: needsAloneInProc }, async (t) => {
    const started = await start(t, 'sharing/share-before-import.js', { args: ['keep'], aloneInProc });
    assert.equal(started.facts.wasSeen, false);
    await assertGated(started);
  });
});

describe('a listener of a process that has no child any more', () => {
  it('is not gated where an orphan inherited it: the orphan goes on serving new clients', async (t) => {
    const started = await start(t, 'sharing/share-by-orphan.js', { aloneInProc });
    assert.equal(started.facts.hasChildren, false);
    await assertLeftToTheOther(started, FOUND);
  });

  it('has its control: after a child that inherited nothing it is gated', { skip: needsAloneInProc }, async (t) => {
    const started = await start(t, 'sharing/share-by-orphan.js', { args: ['keep'], aloneInProc });
    assert.equal(started.facts.hasChildren, false);
    await assertGated(started);
  });
});

describe('a listener that a child of another user may hold', { skip: needsRoot }, () => {
  it('is not gated, and everyone in its queue is served before it closes', async (t) => {
    const { closing, port } = await start(t, 'sharing/share-dropping-root.js', { aloneInProc });
    const answers = await queueClients(port);
    const { listeners, connections, outcome } = await closing.close(SOON);
    assert.equal(listeners[0]?.gate, 'shared');
    assert.match(listeners[0]?.reason ?? '', /^process \d+ may hold it and cannot be looked into$/);
    assert.equal(listeners[0]?.queued, CLIENTS);
    assert.equal(connections.fromQueues, CLIENTS);
    assert.equal(outcome, 'complete');
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['HTTP/1.1 200 OK']));
    assert.deepEqual(await askTenTimes(port), ['ECONNREFUSED']);
  });

  it('has its control: a plain close resets those in its queue', async (t) => {
    const { closing, port } = await start(t, 'sharing/share-dropping-root.js', { aloneInProc });
    const answers = await queueClients(port);
    closing.order('plain');
    const resets = (await Promise.all(answers)).filter((answer) => answer === 'ECONNRESET');
    assert(resets.length >= 50, `${resets.length} of ${CLIENTS} were reset`);
  });

  it('has its queue named as cut where the program itself closes it', async (t) => {
    const { closing, port } = await start(t, 'sharing/share-dropping-root.js', { aloneInProc });
    const answers = await queueClients(port);
    closing.order('both');
    const { report } = await closing.next('closed');
    const resets = (await Promise.all(answers)).filter((answer) => answer === 'ECONNRESET');
    assert(resets.length >= 50, `${resets.length} of ${CLIENTS} were reset`);
    assert.equal(report?.outcome, 'forced');
    assert.equal(report?.connections.cut.length, resets.length);
  });

  it('has its control: where the child is of the same user it is gated', async (t) => {
    await assertGated(await start(t, 'sharing/share-dropping-root.js', { args: ['together'], aloneInProc }));
  });
});

describe('a listener that came from a parent who has closed it since', () => {
  it('is not gated, and everyone in its queue is served before it closes', async (t) => {
    const { closing, port } = await start(t, 'sharing/share-given-away.js');
    const answers = await queueClients(port);
    const { listeners, connections, outcome } = await closing.close(SOON);
    assert.equal(listeners[0]?.gate, 'shared');
    assert.equal(listeners[0]?.reason, 'it came to listen as a descriptor or handle');
    assert.deepEqual([listeners[0]?.queued, connections.fromQueues, outcome], [CLIENTS, CLIENTS, 'complete']);
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['HTTP/1.1 200 OK']));
  });

  it('has its control: a plain close resets those in its queue', async (t) => {
    const { closing, port } = await start(t, 'sharing/share-given-away.js');
    const answers = await queueClients(port);
    closing.order('plain');
    const resets = (await Promise.all(answers)).filter((answer) => answer === 'ECONNRESET');
    assert(resets.length >= 50, `${resets.length} of ${CLIENTS} were reset`);
  });
});

/** Clients that the kernel has let in, each with its request sent, and what each will get. */
async function queueClients(port: number): Promise<readonly Promise<string>[]> {
  const clients = Array.from({ length: CLIENTS }, () => ask(port));
  await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
  return clients.map(({ answer }) => answer);
}

describe('a listener where /proc is empty', { skip: needsRoot }, () => {
  it('is not gated where a child may hold it: the child goes on serving new clients', async (t) => {
    const started = await start(t, 'sharing/share-by-fork.js', { withoutProc: true });
    await assertLeftToTheOther(started, /^the search for other holders failed/);
  });

  it('has its control: without a child there is nothing to search for, and it is gated', async (t) => {
    await assertGated(await start(t, 'sharing/share-by-message-up.js', { args: ['keep'], withoutProc: true }));
  });
});

describe('a listener where /proc is that of an outer namespace of processes', { skip: needsRoot }, () => {
  const options = { aloneInProc, inOuterProc: true };

  it('is not taken for shared with ourselves', async (t) => {
    await assertGated(await start(t, 'sharing/share-by-message.js', { ...options, args: ['keep'] }));
  });

  it('is not gated where a child holds it', async (t) => {
    const started = await start(t, 'sharing/share-by-message.js', options);
    await assertLeftToTheOther(started, /^process \d+ holds it too$/);
  });
});

for (const hidepid of [1, 2, 4]) {
  describe(`a listener where /proc is mounted with hidepid=${hidepid}`, { skip: needsRoot }, () => {
    const options = { aloneInProc: true, hidepid };

    it('is not gated where a child, of whatever user, may hold it', async (t) => {
      const { closing } = await start(t, 'sharing/share-dropping-root.js', options);
      const [listener] = (await closing.close(SOON)).listeners;
      assert.equal(listener?.gate, 'shared');
      assert.equal(listener?.reason, '/proc hides the processes of other users (hidepid)');
    });

    it('has its control: to root it hides nothing, and a child that holds nothing is none', async (t) => {
      await assertGated(await start(t, 'sharing/share-by-message.js', { ...options, args: ['keep'] }));
    });
  });
}
