import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { localAddress } from '../../src/linux/sockets.ts';
import { runStorm, type Storm, type StormResult } from '../../src/storm/storm.ts';
import { closeSocket, listenTogether } from '../fixtures/close/reuse-sockets.ts';
import { otherNodes } from '../harness/other-nodes.ts';
import { askTenTimes, observeFixture, type Program } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';

const CLIENTS = 120;
/** The closing member stands still first, until so many wait in its own queue. */
const QUEUED = 20;
/** On a busy host a client that is accepted may take its time to ask. */
const PATIENT = { idleWait: 10_000, lingerWait: 200 } as const;

/** Two processes that listen on one port, each with a socket of its own. */
interface Group {
  readonly closing: Program;
  readonly port: number;
  readonly other: string;
}

/** On every Node: the sockets are made here and passed by descriptor. */
async function startByDescriptor(scope: Scope): Promise<Group> {
  const first = listenTogether(0);
  const address = localAddress(first);
  assert(address?.family === 'IPv4');
  const second = listenTogether(address.port);
  const [closing, other] = [first, second].map((fd) =>
    scope.use(observeFixture('sharing/share-by-descriptor', { descriptors: [fd] })),
  );
  assert(closing !== undefined && other !== undefined);
  await closing.next('listening');
  const { pid } = await other.next('listening');
  // From here on each socket is its process's alone.
  closeSocket(first);
  closeSocket(second);
  return { closing, port: address.port, other: String(pid) };
}

async function startByPort(scope: Scope, node: string): Promise<Group> {
  const listenAt = (port: number): Program =>
    scope.use(observeFixture('close/reuse-by-port', { args: [String(port)], node }));
  const closing = listenAt(0);
  const { port = 0 } = await closing.next('listening');
  const { pid } = await listenAt(port).next('listening');
  return { closing, port, other: String(pid) };
}

function startStorm(scope: Scope, port: number): Storm {
  const abort = new AbortController();
  scope.defer(() => abort.abort());
  return runStorm({ target: { host: '127.0.0.1', port }, clients: CLIENTS, duration: 60_000, signal: abort.signal });
}

/** Runs the storm on for a while after the close, for what comes late to come. */
async function endStorm(storm: Storm): Promise<StormResult> {
  await storm.served(storm.counts.served + 500);
  storm.stop();
  return storm.finished;
}

interface Case {
  readonly name: string;
  readonly start: (scope: Scope) => Promise<Group>;
  readonly options: object;
  readonly skip: string | false;
}

// Node 20 has no reusePort: 22.12 and 23.1 have.
const GROUPS: readonly Case[] = [
  { name: 'passed by descriptor', start: startByDescriptor, options: { gate: 'own' }, skip: false },
  ...otherNodes.map(({ title, path, missing }) => ({
    name: `made by ${title} with reusePort`,
    start: (scope: Scope) => startByPort(scope, path),
    options: {},
    skip: missing,
  })),
];

for (const { name, start, options, skip } of GROUPS) {
  describe(`one of two members of a SO_REUSEPORT group, ${name}`, () => {
    const proof = prove(`clients of one of two members of a SO_REUSEPORT group, ${name}`);

    it('closes without losing or refusing anybody: new clients come to the other', { skip }, async (t) => {
      await using scope = new Scope();
      const { closing, port, other } = await start(scope);
      const storm = startStorm(scope, port);
      await storm.served(300);
      closing.order(`fill ${QUEUED}`);
      const report = await closing.close({ ...options, ...PATIENT });
      const { counts, lost, errors, latency } = await endStorm(storm);
      assert.equal(report.listeners[0]?.gate, 'refuse', report.listeners[0]?.reason);
      const { queued } = report.listeners[0];
      assert(queued >= QUEUED, `${queued} were queued`);
      assert.equal(report.outcome, 'complete');
      assert.deepEqual(
        { lost, refused: counts.refused, failed: counts.failed },
        { lost: 0, refused: 0, failed: 0 },
        JSON.stringify(errors),
      );
      assert.deepEqual(await askTenTimes(port), [other]);
      t.diagnostic(`served ${counts.served}, slowest ${Math.round(latency.max)} ms`);
      proof.held(t, { queued });
    });

    it('loses who is queued with a plain close', { skip }, async (t) => {
      await using scope = new Scope();
      const { closing, port, other } = await start(scope);
      const storm = startStorm(scope, port);
      await storm.served(300);
      closing.order(`fill ${QUEUED}`);
      closing.order('plain');
      await closing.next('closed');
      const { counts, lost } = await endStorm(storm);
      assert(counts.reset > 0, JSON.stringify(counts));
      assert.deepEqual(await askTenTimes(port), [other]);
      proof.lost(t, lost);
    });
  });
}
