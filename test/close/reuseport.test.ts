import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { localAddress } from '../../src/linux/sockets.ts';
import { runStorm, type Storm, type StormResult } from '../../src/storm/storm.ts';
import { closeSocket, listenTogether } from '../fixtures/close/reuse-sockets.ts';
import { otherNodes } from '../harness/other-nodes.ts';
import { askTenTimes, type Program, startProgram } from '../harness/observed-program.ts';

const CLIENTS = 120;
/** How long the closing member holds up its loop first, so that its queue is not empty, in milliseconds. */
const BLOCKED = 50;

/** Two processes that listen on one port, each with a socket of its own. */
interface Group {
  readonly closing: Program;
  readonly port: number;
  readonly other: string;
}

/** On every Node: the sockets are made here and passed by descriptor. */
async function startByDescriptor(t: TestContext): Promise<Group> {
  const first = listenTogether(0);
  const address = localAddress(first);
  assert(address?.family === 'IPv4');
  const second = listenTogether(address.port);
  const members = [first, second].map((fd) => startProgram(t, 'sharing/share-by-descriptor.js', { descriptors: [fd] }));
  const [closing, other] = members;
  assert(closing !== undefined && other !== undefined);
  await closing.next('listening');
  const { pid } = await other.next('listening');
  // From here on each socket is its process's alone.
  closeSocket(first);
  closeSocket(second);
  return { closing, port: address.port, other: String(pid) };
}

async function startByPort(t: TestContext, node: string): Promise<Group> {
  const closing = startProgram(t, 'close/reuse-by-port.js', { args: ['0'], node });
  const { port = 0 } = await closing.next('listening');
  const { pid } = await startProgram(t, 'close/reuse-by-port.js', { args: [String(port)], node }).next('listening');
  return { closing, port, other: String(pid) };
}

function startStorm(t: TestContext, port: number): Storm {
  const abort = new AbortController();
  t.after(() => abort.abort());
  return runStorm({ target: { host: '127.0.0.1', port }, clients: CLIENTS, duration: 60_000, signal: abort.signal });
}

/** Runs the storm on for a while after the close, for what comes late to come. */
async function endStorm(storm: Storm): Promise<StormResult> {
  await storm.served(storm.counts.served + 2_000);
  storm.stop();
  return storm.finished;
}

interface Case {
  readonly name: string;
  readonly start: (t: TestContext) => Promise<Group>;
  readonly options: object;
  readonly skip: string | false;
}

// Node 20 has no reusePort: 22.12 and 23.1 have.
const GROUPS: readonly Case[] = [
  { name: 'passed by descriptor', start: startByDescriptor, options: { gate: 'own' }, skip: false },
  ...otherNodes.map(({ title, path, missing }) => ({
    name: `made by ${title} with reusePort`,
    start: (t: TestContext) => startByPort(t, path),
    options: {},
    skip: missing,
  })),
];

for (const { name, start, options, skip } of GROUPS) {
  describe(`one of two members of a SO_REUSEPORT group, ${name}`, () => {
    it('closes without losing or refusing anybody: new clients come to the other', { skip }, async (t) => {
      const { closing, port, other } = await start(t);
      const storm = startStorm(t, port);
      await storm.served(1_000);
      closing.order(`block ${BLOCKED}`);
      const report = await closing.close({ ...options, idleWait: 200, lingerWait: 200 });
      const { counts, lost, errors, latency } = await endStorm(storm);
      assert.equal(report.listeners[0]?.gate, 'refuse', report.listeners[0]?.reason);
      assert(report.listeners[0].queued > 0, 'nobody was queued');
      assert.equal(report.outcome, 'complete');
      assert.deepEqual(
        { lost, refused: counts.refused, failed: counts.failed },
        { lost: 0, refused: 0, failed: 0 },
        JSON.stringify(errors),
      );
      assert.deepEqual(await askTenTimes(port), [other]);
      t.diagnostic(
        `queued ${report.listeners[0].queued}, served ${counts.served}, slowest ${Math.round(latency.max)} ms`,
      );
    });

    it('loses who is queued with a plain close', { skip }, async (t) => {
      const { closing, port, other } = await start(t);
      const storm = startStorm(t, port);
      await storm.served(1_000);
      closing.order(`block ${BLOCKED}`);
      closing.order('plain');
      await closing.next('closed');
      const { counts, lost } = await endStorm(storm);
      assert(counts.reset > 0, JSON.stringify(counts));
      assert.deepEqual(await askTenTimes(port), [other]);
      t.diagnostic(`lost ${lost}, reset ${counts.reset}`);
    });
  });
}
