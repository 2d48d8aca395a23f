import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { SharedSearch } from '../../src/listener/holder-search.ts';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { needsNamespaces } from '../harness/needs.ts';
import { observeFixture, type Program } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { startCat } from '../linux/cat.ts';
import { Loopback } from '../linux/loopback.ts';
import { ask, SOON } from './calls-servers.ts';

const CLIENTS = 60;
/** In ms. Far more than a search takes that gets somewhere in each piece; without a limit a search that does not goes on for ever. */
const ENOUGH = 60_000;
// Alone in /proc, the processes of the host are not searched, and the figures are those of this test.
const needsAloneInProc = needsNamespaces('--pid', '--fork', '--mount-proc');

const WAYS = [
  { title: 'one listener', what: '1', listeners: 1 },
  { title: '300 listeners', what: '300', listeners: 300 },
  { title: 'the listener of a cluster', what: 'cluster', listeners: 1 },
] as const;

for (const { title, what, listeners } of WAYS) {
  suite(`${title} beside processes that hold 20,000 descriptors`, { skip: needsAloneInProc }, () => {
    const proof = prove(`clients queued at ${title} beside 20,000 descriptors`);

    test('is gated, and everyone in the queue is served', async (t) => {
      await using scope = new Scope();
      const { closing, answers } = await startWithQueue(what, scope);
      closing.order(`close ${JSON.stringify({ ...SOON, deadline: ENOUGH })}`);
      const { report, facts } = await closing.next('closed');
      assert.deepEqual(
        { outcome: report?.outcome, gates: new Set(report?.listeners.map(({ gate }) => gate)) },
        { outcome: 'complete', gates: new Set(['refuse']) },
        JSON.stringify(report?.listeners[0]),
      );
      assert.equal(report?.listeners.length, listeners);
      assert.deepEqual(new Set(await Promise.all(answers)), new Set(['HTTP/1.1 200 OK']));
      t.diagnostic(`the call took ${Number(facts?.blocked)} ms, the close ${report?.duration} ms`);
      // They had all come when it was told to close.
      proof.held(t, { queued: CLIENTS });
    });

    test('control: a plain close resets those in the queue', async (t) => {
      await using scope = new Scope();
      const { closing, answers } = await startWithQueue(what, scope);
      closing.order('plain');
      proof.lost(t, (await Promise.all(answers)).filter((answer) => answer === 'ECONNRESET').length);
    });
  });
}

async function startWithQueue(
  what: string,
  scope: Scope,
): Promise<{ readonly closing: Program; readonly answers: readonly Promise<string>[] }> {
  const closing = scope.use(observeFixture('sharing/share-beside-many', { args: [what], aloneInProc: true }));
  const { port = 0 } = await closing.next('listening');
  const clients = Array.from({ length: CLIENTS }, () => ask(port));
  await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
  return { closing, answers: clients.map(({ answer }) => answer) };
}

test('a search ends with the time of its close, and says that it is not finished', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  await using _ = await startCat();
  const search = new SharedSearch([inodeOf(fd)], { onlyOurs: false });
  const over = { endsAt: performance.now() + ENOUGH, deadline: AbortSignal.abort() };
  assert.equal((await search.resultFor(inodeOf(fd), over)).finished, false);
  const late = { endsAt: performance.now(), deadline: new AbortController().signal };
  assert.equal((await search.resultFor(inodeOf(fd), late)).finished, false);
});
