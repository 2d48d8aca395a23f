// Clients with a connection of which the kernel shows a stop from outside less than of others: on a Unix socket, and in another
// network namespace.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../harness/folders.ts';
import { needsNamespaces, needsPrograms } from '../harness/needs.ts';
import { startCommand } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { askingClients, outcomesIn, PYTHON } from './asking-clients.ts';
import { runForeign, type RunUnderLastcall } from './foreign-program-driver.ts';
import { countUnserved, tally } from './queued-clients.ts';

const CLIENTS = 5;
const PORT = 8080;
/** Longer than a stop waits where nobody is owed an answer, in ms. */
const LONG = 1_500;
const AT_ONCE = ['--queue-wait', '0s'];
const OWING = { atSignal: 'default', answersLate: true };
const AN_END = 'the program, or a part of it, ended';

/** Signals while all clients wait for an answer, which the program has not begun. */
async function stopWhileOwed(running: RunUnderLastcall, clientLine: readonly string[], waits: boolean) {
  await using clients = startCommand(clientLine);
  await running.prints(new RegExp(`^request ${CLIENTS}$`, 'm'));
  running.signal('SIGTERM');
  if (waits) {
    // The answers take this long: that is what is tested.
    await sleep(LONG);
    process.kill(running.program, 'SIGUSR2');
  }
  const outcomes = outcomesIn((await clients.ended).stdout);
  return { outcomes, ...(await running.finished) };
}

/** Stops a program whose clients are where the kernel shows less of them. */
const PLACES = [
  {
    title: 'connections that a program has accepted on a Unix socket',
    skip: needsPrograms(PYTHON),
    stop: async (options: readonly string[]) => {
      using folder = makeFolder();
      const path = join(folder.path, 'socket');
      await using running = await runForeign({ listen: [{ path }], ...OWING }, options);
      return await stopWhileOwed(running, askingClients(path, CLIENTS), options.length === 0);
    },
    doubt: `${CLIENTS} clients had a connection on a Unix socket when ${AN_END}: who waited cannot be seen`,
  },
  {
    title: 'connections in another network namespace',
    skip: needsNamespaces('--net') || needsPrograms(PYTHON, 'nsenter', 'ip'),
    stop: async (options: readonly string[]) => {
      const below = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
      await using running = await runForeign({ listen: [{ port: PORT, host: '127.0.0.1' }], ...OWING }, options, {
        below,
      });
      const inside = ['nsenter', `--net=/proc/${running.program}/ns/net`, '--'];
      return await stopWhileOwed(running, [...inside, ...askingClients(PORT, CLIENTS)], options.length === 0);
    },
    doubt: `${CLIENTS} clients waited for an answer when ${AN_END}`,
  },
];

for (const { title, skip, stop, doubt } of PLACES) {
  suite(title, { skip }, () => {
    const proof = prove(`clients that wait for an answer, stopped by lastcall run: ${title}`);

    test('are answered before a program without a handler gets the signal', async (t) => {
      const { outcomes, report } = await stop([]);
      assert.deepEqual(tally(outcomes), { served: CLIENTS });
      const { outcome, doubts, connections } = report ?? {};
      assert.deepEqual({ outcome, doubts }, { outcome: 'complete', doubts: [] });
      proof.held(t, { open: connections?.atStart });
    });

    test('control: with a wait of 0 s they are lost, and the report names them as a doubt', async (t) => {
      const { outcomes, report } = await stop(AT_ONCE);
      const { outcome, doubts } = report ?? {};
      assert.deepEqual({ outcome, doubts }, { outcome: 'forced', doubts: [doubt] });
      proof.lost(t, countUnserved(outcomes));
    });
  });
}

test('connections on a Unix socket that have ended before the stop leave no doubt', {
  skip: needsPrograms(PYTHON),
}, async () => {
  using folder = makeFolder();
  const path = join(folder.path, 'socket');
  await using running = await runForeign({ listen: [{ path }], atSignal: 'default' });
  await using clients = startCommand(askingClients(path, CLIENTS));
  assert.deepEqual(tally(outcomesIn((await clients.ended).stdout)), { served: CLIENTS });
  running.signal('SIGTERM');
  const { report } = await running.finished;
  const { outcome, doubts, connections } = report ?? {};
  assert.deepEqual({ outcome, doubts, open: connections?.atStart }, { outcome: 'complete', doubts: [], open: 0 });
});
