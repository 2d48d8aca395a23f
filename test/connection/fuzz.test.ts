import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FuzzClientsOrder, FuzzClientsTold } from '../fixtures/connection/http1/http-fuzz-clients.ts';
import { isSecure } from '../fixtures/connection/http1/http-fuzz-kinds.ts';
import type { FuzzClosed, FuzzOrder, FuzzTold } from '../fixtures/connection/http1/http-fuzz-server.ts';
import { count } from '../harness/counts.ts';
import { startFixture } from '../harness/processes.ts';
import { within } from '../harness/wait.ts';

// What clients and programs do is drawn by chance, from a seed. A failure names the seed of its close, to be run again with
// LASTCALL_FUZZ_SEED; the kernel's and the processes' own timing is not drawn.

const CLIENTS = 200;
// At least one of each kind of server.
const CLOSES = count(100, 14);
const FIRST_SEED = Number(process.env.LASTCALL_FUZZ_SEED ?? 1);
/** A close has a deadline of 1.5 s at most. */
const LONGEST_ROUND = 20_000;

test(`${CLOSES} closes with ${CLIENTS} clients that send anything, halves of it, and go at any time: each ends, accounts for all, and leaves nothing behind`, {
  timeout: CLOSES * LONGEST_ROUND,
}, async (t) => {
  await using server = startFixture<FuzzTold>('connection/http1/http-fuzz-server');
  await using clients = startFixture<FuzzClientsTold>('connection/http1/http-fuzz-clients');
  const order = (to: FuzzOrder): void => server.send(to);
  const orderClients = (to: FuzzClientsOrder): void => clients.send(to);
  await server.next('left');

  const sums = { atStart: 0, fromQueues: 0, ended: 0, cut: 0 };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + CLOSES; seed += 1) {
    await inTime(seed, async () => {
      order({ listen: seed });
      const { port, kind } = await server.next('listening');
      orderClients({ seed, port, secure: isSecure(kind), clients: CLIENTS });
      await clients.next('underWay');
      order({ close: true });
      const closed = await server.next('closed');
      assertAccounts(closed, kind);
      orderClients({ leave: true });
      await clients.next('done');

      order({ count: true });
      const { more, warnings } = await server.next('left');
      assert.deepEqual({ more, warnings }, { more: {}, warnings: [] }, kind);
      const { cut, ...counts } = closed.report.connections;
      sums.atStart += counts.atStart;
      sums.fromQueues += counts.fromQueues;
      sums.ended += counts.ended;
      sums.cut += cut.length;
    });
  }
  // The path was walked: there were connections of every sort.
  t.diagnostic(JSON.stringify(sums));
  for (const [what, count] of Object.entries(sums)) assert.ok(count > 0, `none ${what}`);
});

function assertAccounts({ report, arrived, open }: FuzzClosed, kind: string): void {
  const { atStart, fromQueues, ended, cut } = report.connections;
  const told = `${kind}: ${JSON.stringify({ ...report, connections: { ...report.connections, cut: cut.slice(0, 3) }, arrived, open })}`;
  assert.equal(atStart + fromQueues, ended + cut.length, told);
  assert.equal(report.outcome, cut.length === 0 ? 'complete' : 'forced', told);
  // What the program itself saw is the same.
  const unseen = cut.filter(({ reason }) => reason === 'never accepted' || reason === 'dropped').length;
  assert.equal(atStart, open, told);
  assert.equal(fromQueues, arrived + unseen, told);
  assert.deepEqual(report.errors, [], told);
}

/** Adds the seed to whatever goes wrong in a round, and does not wait for ever. */
async function inTime(seed: number, round: () => Promise<void>): Promise<void> {
  try {
    await within('the round', round(), LONGEST_ROUND);
  } catch (error) {
    throw new Error(`LASTCALL_FUZZ_SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
