import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runStorm, type Storm, type StormResult } from '../../src/storm/storm.ts';
import { count } from '../harness/counts.ts';
import { observeFixture, type Program } from '../harness/observed-program.ts';
import { freePort } from '../harness/ports.ts';
import { holdProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { Activator } from './activator.ts';
import { type ConnectedClients, connectClients } from './one-request.ts';

const CLIENTS = 40;
const RESTARTS: number = count(4, 2);
/** How many more clients come while the stopping service is held still, and so wait in the kernel. */
const WAITING = 20;
const proof = prove('clients of a service whose socket outlives its restart');

/** Connects new clients. */
function connectMore(port: number): Promise<ConnectedClients> {
  return connectClients(WAITING, { port, host: '127.0.0.1' });
}

function add(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

/** For `using`. */
function startStorm(port: number): Storm & Disposable {
  // Limits of the test: no client may reach one.
  const limits = { timeout: 60_000, duration: 60_000 };
  const storm = runStorm({ target: { host: '127.0.0.1', port }, clients: CLIENTS, afterRefusal: 10, ...limits });
  return Object.assign(storm, { [Symbol.dispose]: () => storm.stop() });
}

async function servesMore(storm: Storm): Promise<void> {
  await storm.served(storm.counts.served + 2 * CLIENTS);
}

describe('under an activator that keeps the socket', () => {
  it('a restart loses no client: the next process serves those that come in between, and the gate is never shut', async (t) => {
    await using activator = new Activator();
    using storm = startStorm(activator.port);
    for (let restart = 1; restart <= RESTARTS; restart += 1) {
      const { program, pid } = await activator.runs(restart);
      await servesMore(storm);
      activator.startAt(Infinity);
      await holdProcess(pid);
      using waiting = await connectMore(activator.port);
      const { queued } = activator;
      assert(queued >= WAITING);
      process.kill(pid, 'SIGTERM');
      process.kill(pid, 'SIGCONT');
      const { report } = await program.next('closed');
      const { gate, reason } = report?.listeners[0] ?? {};
      assert.deepEqual(
        { outcome: report?.outcome, gate, reason },
        { outcome: 'complete', gate: 'shared', reason: 'it came to listen as a descriptor or handle' },
        JSON.stringify(report),
      );
      assert.equal((await program.ended).code, 0);
      using inBetween = await connectMore(activator.port);
      assert.equal(activator.running, undefined);
      assert(activator.queued >= WAITING);
      activator.startAt(1);
      const { pid: successor } = await activator.runs(restart + 1);
      for (const answer of await inBetween.bodies) assert.equal(answer, `web ${successor}`);
      for (const answer of await waiting.bodies) assert([`web ${pid}`, `web ${successor}`].includes(answer), answer);
      proof.held(t, { queued });
    }
    await servesMore(storm);
    storm.stop();
    const { counts, lost } = await storm.finished;
    t.diagnostic(JSON.stringify(counts));
    const { refused, failed } = counts;
    assert.deepEqual({ lost, refused, failed }, { lost: 0, refused: 0, failed: 0 });
  });
});

describe('a service that owns its port (control)', () => {
  it('with a plain close loses clients at the same restarts, and refuses others', async (t) => {
    const { counts, lost, waited } = await restartOwner('plain');
    assert((waited.get('ECONNRESET') ?? 0) > (RESTARTS * WAITING) / 2, JSON.stringify([...waited]));
    assert(lost > 0 && counts.refused > 0, JSON.stringify(counts));
    proof.lost(t, lost);
  });

  it('with a graceful close loses none, and refuses those that come while no process runs', async () => {
    const { counts, lost, waited } = await restartOwner('graceful');
    assert.deepEqual({ lost, served: waited.get('served') }, { lost: 0, served: RESTARTS * WAITING });
    assert(counts.refused > 0, JSON.stringify(counts));
  });
});

/** The result of the storm, and of the clients that waited in the kernel at a restart: `served`, or the error's code. */
async function restartOwner(
  how: 'plain' | 'graceful',
): Promise<StormResult & { readonly waited: ReadonlyMap<string, number> }> {
  const port = await freePort();
  const start = (): Program => observeFixture('lifecycle/activated-service', { args: [how, `web:${port}`] });
  const waited = new Map<string, number>();
  await using scope = new Scope();
  let storm: Storm | undefined;
  for (let restart = 0; restart <= RESTARTS; restart += 1) {
    await using program = start();
    const { pid } = await program.next('listening');
    storm ??= scope.use(startStorm(port));
    await servesMore(storm);
    if (restart === RESTARTS) {
      storm.stop();
      return { ...(await storm.finished), waited };
    }
    await holdProcess(pid);
    using waiting = await connectMore(port);
    process.kill(pid, 'SIGTERM');
    process.kill(pid, 'SIGCONT');
    await program.ended;
    for (const answer of await waiting.bodies) add(waited, answer === `web ${pid}` ? 'served' : answer);
  }
  throw new Error('no restart');
}
