import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { FuzzClientsOrder, FuzzClientsTold } from '../fixtures/connection/http1/http-fuzz-clients.ts';
import { isSecure } from '../fixtures/connection/http1/http-fuzz-kinds.ts';
import type { FuzzClosed, FuzzOrder, FuzzTold } from '../fixtures/connection/http1/http-fuzz-server.ts';
import { ProgramMessages } from './program-messages.ts';

// What clients and programs do is drawn by chance, from a seed. A failure names the seed of its close, to be run again with
// LASTCALL_FUZZ_SEED; the kernel's and the processes' own timing is not drawn.

const CLIENTS = 200;
const CLOSES = process.env.LASTCALL_FULL === '1' ? 100 : 20;
const FIRST_SEED = Number(process.env.LASTCALL_FUZZ_SEED ?? 1);
/** A close has a deadline of 1.5 s at most. */
const LONGEST_ROUND = 20_000;

const serverProgram = fileURLToPath(new URL('../fixtures/connection/http1/http-fuzz-server.js', import.meta.url));
const clientsProgram = fileURLToPath(new URL('../fixtures/connection/http1/http-fuzz-clients.js', import.meta.url));

test(`${CLOSES} closes with ${CLIENTS} clients that send anything, halves of it, and go at any time: each ends, accounts for all, and leaves nothing behind`, {
  timeout: CLOSES * LONGEST_ROUND,
}, async (t) => {
  const serverProcess = start(t, serverProgram);
  const server = new ProgramMessages<FuzzTold>(serverProcess);
  const clientsProcess = start(t, clientsProgram);
  const clients = new ProgramMessages<FuzzClientsTold>(clientsProcess);
  const order = (to: FuzzOrder): boolean => serverProcess.send(to);
  await server.next('left');

  const sums = { atStart: 0, fromQueues: 0, ended: 0, cut: 0 };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + CLOSES; seed += 1) {
    await inTime(seed, async (step) => {
      step('listen');
      order({ listen: seed });
      const { port, kind } = await server.next('listening');
      const load: FuzzClientsOrder = { seed, port, secure: isSecure(kind), clients: CLIENTS };
      clientsProcess.send(load);
      step('get clients under way');
      await clients.next('underWay');
      step('close');
      order({ close: true });
      const closed = await server.next('closed');
      assertAccounts(closed, kind);
      step('let the clients leave');
      clientsProcess.send({ leave: true } satisfies FuzzClientsOrder);
      await clients.next('done');

      step('count what is left');
      order({ count: true });
      const { more, warnings } = await server.next('left');
      assert.deepEqual([more, warnings], [{}, []], `${kind}: ${JSON.stringify({ more, warnings })}`);
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
async function inTime(seed: number, round: (step: (name: string) => void) => Promise<void>): Promise<void> {
  let step = '';
  const late = new AbortController();
  const tooLate = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`it did not ${step} in time`)), LONGEST_ROUND);
    late.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  try {
    await Promise.race([round((name) => (step = name)), tooLate]);
  } catch (error) {
    throw new Error(`LASTCALL_FUZZ_SEED=${seed}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  } finally {
    late.abort();
  }
}

function start(t: TestContext, program: string): ChildProcess {
  const child = fork(program);
  t.after(() => child.kill('SIGKILL'));
  return child;
}
