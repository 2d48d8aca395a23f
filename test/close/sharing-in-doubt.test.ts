import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { needsNamespaces } from '../harness/needs.ts';
import { askTenTimes, observeFixture, type Program, type ProgramOptions } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { ask, SOON } from './calls-servers.ts';

const CLIENTS = 60;
// Not alone in /proc, on a busy host, the search is not over in time, and then the listener rightly counts as shared.
const needsAloneInProc = needsNamespaces('--pid', '--fork', '--mount-proc');
const aloneInProc = needsAloneInProc === false;
/** Where /proc cannot be kept small the search may take too long, which counts as shared just the same. */
const FOUND = aloneInProc ? /^process \d+ holds it too$/ : /holds it too$|^the search for other holders took longer/;

/** A process that is to close its listener, and what it told when it listened. */
interface Started extends AsyncDisposable {
  readonly closing: Program;
  readonly port: number;
  readonly facts: Readonly<Record<string, unknown>>;
}

async function start(name: string, options?: ProgramOptions): Promise<Started> {
  const closing = observeFixture(name, options);
  const { port = 0, facts = {} } = await closing.next('listening');
  return { closing, port, facts, [Symbol.asyncDispose]: () => closing[Symbol.asyncDispose]() };
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
    it('is not gated: the other worker goes on serving new clients', async () => {
      await using started = await start('sharing/share-by-cluster-anew', { args: [policy] });
      assert.equal(started.facts.otherPort, started.port);
      await assertLeftToTheOther(started, /^a cluster worker's listener$/);
    });

    it('has its control: the exclusive one is gated', async () => {
      await using started = await start('sharing/share-by-cluster-anew', { args: [policy, 'exclusive'] });
      assert.notEqual(started.facts.otherPort, started.port);
      await assertGated(started);
    });
  });
}

describe('a listener of a child with a message channel that listened before lastcall was imported', () => {
  it('is not gated where the parent was sent it: the parent goes on serving new clients', async () => {
    await using started = await start('sharing/share-before-import', { aloneInProc });
    assert.equal(started.facts.wasSeen, false);
    await assertLeftToTheOther(started, FOUND);
  });

  it('has its control: the child that kept it is gated', { skip: needsAloneInProc }, async () => {
    await using started = await start('sharing/share-before-import', { args: ['keep'], aloneInProc });
    assert.equal(started.facts.wasSeen, false);
    await assertGated(started);
  });
});

describe('a listener of a process that has no child any more', () => {
  it('is not gated where an orphan inherited it: the orphan goes on serving new clients', async () => {
    await using started = await start('sharing/share-by-orphan', { aloneInProc });
    assert.equal(started.facts.hasChildren, false);
    await assertLeftToTheOther(started, FOUND);
  });

  it('has its control: after a child that inherited nothing it is gated', { skip: needsAloneInProc }, async () => {
    await using started = await start('sharing/share-by-orphan', { args: ['keep'], aloneInProc });
    assert.equal(started.facts.hasChildren, false);
    await assertGated(started);
  });
});

describe('a listener that a child of another user may hold', { skip: needsAloneInProc }, () => {
  const proof = prove('clients queued at a listener that a child of another user may hold');

  it('is not gated, and everyone in its queue is served before it closes', async (t) => {
    await using started = await start('sharing/share-dropping-root', { aloneInProc });
    const { closing, port } = started;
    const answers = await queueClients(port);
    const { listeners, connections, outcome } = await closing.close(SOON);
    assert.equal(listeners[0]?.gate, 'shared');
    assert.match(listeners[0]?.reason ?? '', /^process \d+ may hold it and cannot be looked into$/);
    assert.equal(listeners[0]?.queued, CLIENTS);
    assert.equal(connections.fromQueues, CLIENTS);
    assert.equal(outcome, 'complete');
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['HTTP/1.1 200 OK']));
    assert.deepEqual(await askTenTimes(port), ['ECONNREFUSED']);
    proof.held(t, { queued: CLIENTS });
  });

  it('has its control: a plain close resets those in its queue', async (t) => {
    await using started = await start('sharing/share-dropping-root', { aloneInProc });
    const { closing, port } = started;
    const answers = await queueClients(port);
    closing.order('plain');
    const resets = (await Promise.all(answers)).filter((answer) => answer === 'ECONNRESET');
    assert(resets.length >= 50, `${resets.length} of ${CLIENTS} were reset`);
    proof.lost(t, resets.length);
  });

  it('has its queue counted as left, and in doubt, where the program itself closes it', async () => {
    await using started = await start('sharing/share-dropping-root', { aloneInProc });
    const { closing, port } = started;
    const answers = await queueClients(port);
    closing.order('both');
    const { report } = await closing.next('closed');
    const resets = (await Promise.all(answers)).filter((answer) => answer === 'ECONNRESET');
    assert(resets.length >= 50, `${resets.length} of ${CLIENTS} were reset`);
    assert.equal(report?.outcome, 'forced');
    assert.equal(report?.listeners[0]?.left, resets.length);
    assert.match(
      report?.doubts.join() ?? '',
      new RegExp(`^${resets.length} clients? stayed in the queue of .*, which no other process is known to serve$`),
    );
  });

  it('has its control: where the child is of the same user it is gated', async () => {
    await using started = await start('sharing/share-dropping-root', { args: ['together'], aloneInProc });
    await assertGated(started);
  });
});

describe('a listener that came from a parent who has closed it since', () => {
  const proof = prove('clients queued at a listener that came from a parent who has closed it since');

  it('is not gated, and everyone in its queue is served before it closes', async (t) => {
    await using started = await start('sharing/share-given-away');
    const { closing, port } = started;
    const answers = await queueClients(port);
    const { listeners, connections, outcome } = await closing.close(SOON);
    assert.equal(listeners[0]?.gate, 'shared');
    assert.equal(listeners[0]?.reason, 'it came to listen as a descriptor or handle');
    assert.deepEqual(
      { queued: listeners[0]?.queued, fromQueues: connections.fromQueues, outcome },
      { queued: CLIENTS, fromQueues: CLIENTS, outcome: 'complete' },
    );
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['HTTP/1.1 200 OK']));
    proof.held(t, { queued: CLIENTS });
  });

  it('has its control: a plain close resets those in its queue', async (t) => {
    await using started = await start('sharing/share-given-away');
    const { closing, port } = started;
    const answers = await queueClients(port);
    closing.order('plain');
    const resets = (await Promise.all(answers)).filter((answer) => answer === 'ECONNRESET');
    assert(resets.length >= 50, `${resets.length} of ${CLIENTS} were reset`);
    proof.lost(t, resets.length);
  });
});

/** Clients that the kernel has let in, each with its request sent, and what each will get. */
async function queueClients(port: number): Promise<readonly Promise<string>[]> {
  const clients = Array.from({ length: CLIENTS }, () => ask(port));
  await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
  return clients.map(({ answer }) => answer);
}

describe('a listener where /proc is empty', { skip: needsNamespaces('--mount') }, () => {
  it('is not gated where a child may hold it: the child goes on serving new clients', async () => {
    await using started = await start('sharing/share-by-fork', { withoutProc: true });
    await assertLeftToTheOther(started, /^the search for other holders failed/);
  });

  it('has its control: without a child there is nothing to search for, and it is gated', async () => {
    await using started = await start('sharing/share-by-message-up', { args: ['keep'], withoutProc: true });
    await assertGated(started);
  });
});

describe('a listener where /proc is that of an outer namespace of processes', { skip: needsAloneInProc }, () => {
  const options = { aloneInProc, inOuterProc: true };

  it('is not taken for shared with ourselves', async () => {
    await using started = await start('sharing/share-by-message', { ...options, args: ['keep'] });
    await assertGated(started);
  });

  it('is not gated where a child holds it', async () => {
    await using started = await start('sharing/share-by-message', options);
    await assertLeftToTheOther(started, /^process \d+ holds it too$/);
  });
});

for (const hidepid of [1, 2, 4]) {
  describe(`a listener where /proc is mounted with hidepid=${hidepid}`, { skip: needsAloneInProc }, () => {
    const options = { aloneInProc: true, hidepid };

    it('is not gated where a child, of whatever user, may hold it', async () => {
      await using started = await start('sharing/share-dropping-root', options);
      const { closing } = started;
      const [listener] = (await closing.close(SOON)).listeners;
      assert.equal(listener?.gate, 'shared');
      assert.equal(listener?.reason, '/proc hides the processes of other users (hidepid)');
    });

    it('has its control: to root it hides nothing, and a child that holds nothing is none', async () => {
      await using started = await start('sharing/share-by-message', { ...options, args: ['keep'] });
      await assertGated(started);
    });
  });
}
