import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type CloseReport, gracefulClose, type Protocol } from '../../src/index.ts';
import type { ClientSaw, ClientsOrder, ClientsTold, ServerKind } from '../fixtures/connection/accounting-clients.ts';
import { blockUntil } from '../harness/block.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { count } from '../harness/counts.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf, queuedAt } from '../harness/ports.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { listenHttp } from '../harness/servers.ts';
import { type Accounted, closeAndAccount } from './accounting-close.ts';
import { onceEach, type Population, populations } from './accounting-population.ts';

const CLOSES = count(300, 8);
/** To run the closes of a failure again: its seed. */
const SEED = process.env.LASTCALL_ACCOUNTING_SEED;
/**
 * What a close may take beyond its deadline: 100 ms for who is queued still, a walk through all sockets of the host, 50 ms
 * where there are 88,000, and what a busy machine makes of that.
 */
const SLACK = 1_500;
/** On average, and what is left is for making a failure smaller. */
const LONGEST_ROUND = 5_000;

const KINDS: readonly ServerKind[] = ['http', 'h2c', 'tcp', 'unix'];

describe(`${CLOSES} closes of any servers with any clients`, { timeout: CLOSES * LONGEST_ROUND + 60_000 }, () => {
  const hasOpenssl = needsPrograms('openssl') === false;
  const certificate = hasOpenssl ? makeCertificate() : {};
  const kinds = hasOpenssl ? [...KINDS, 'https' as const] : KINDS;
  /** Of each close with wrong names, what is wrong. */
  const misnamed: string[] = [];
  /** The same for protocols, and whose protocols were told rightly. */
  const mistaken: string[] = [];
  const spoken = new Set<string>();
  const proof = prove('clients of every sort see the end of a close of any servers');

  it('end in time, everybody agrees on what became of each connection, and nothing is left', async (t) => {
    await using clients = startClients();
    const sums = { atStart: 0, fromQueues: 0, ended: 0, cut: 0, reset: 0, said: 0, answered: 0 };
    const property = fc.asyncProperty(populations(kinds), async (population) => {
      const accounted = await closeAndAccount(population, { clients, certificate, how: gracefulClose });
      checkReport(population, accounted);
      checkMessages(accounted);
      checkProgress(accounted);
      checkWhatIsLeft(accounted);
      misnamed.push(...wrongNames(accounted));
      mistaken.push(...wrongProtocols(accounted, spoken));
      const { cut, farewells, ...counts } = accounted.report.connections;
      sums.atStart += counts.atStart;
      sums.fromQueues += counts.fromQueues;
      sums.ended += counts.ended;
      sums.cut += cut.length;
      sums.reset += cut.filter(({ reason }) => reason === 'reset by peer').length;
      sums.said += farewells.said;
      sums.answered += farewells.answered;
    });
    const limit = { interruptAfterTimeLimit: CLOSES * LONGEST_ROUND, markInterruptAsFailure: true };
    const seed = SEED === undefined ? {} : { seed: Number(SEED) };
    const first = { examples: [[onceEach(kinds)]] satisfies [Population][] };
    await fc.assert(property, { numRuns: CLOSES, includeErrorInReport: true, ...first, ...limit, ...seed });
    // The path was walked: there were connections of every sort.
    t.diagnostic(JSON.stringify(sums));
    for (const [what, times] of Object.entries(sums)) assert.ok(times > 0, `none ${what}`);
    proof.held(t, { queued: sums.fromQueues, connected: sums.atStart });
  });

  it('name each connection by its client', () => assert.deepEqual(misnamed, []));

  it('tell of each connection that has ended what it spoke', () => {
    assert.deepEqual(mistaken, []);
    assert.deepEqual([...spoken].toSorted(), ['h2', 'http/1.1', 'raw', 'websocket']);
  });

  it('control: a close of the listeners alone leaves connections open, and clients that see no end', async (t) => {
    const report = await gracefulClose([]);
    const how = (servers: unknown): Promise<CloseReport> => {
      for (const server of servers as readonly net.Server[]) net.Server.prototype.close.call(server);
      return Promise.resolve(report);
    };
    const population = onceEach(kinds);
    await using clients = startClients();
    const accounted = await closeAndAccount(population, { clients, certificate, how, seenWithin: 2_000 });
    const { leftOpen, leftActive } = accounted;
    const all = population.clients.length;
    assert.deepEqual({ leftOpen, leftActive }, { leftOpen: all, leftActive: all });
    const waiting = accounted.saw.filter(({ connected, end }) => connected && end === 'nothing');
    proof.lost(t, waiting.length);
    assert.throws(() => checkReport(population, accounted), /the program had so many/);
    assert.throws(() => checkWhatIsLeft(accounted), /connections are open/);
  });
});

it('clients that were never accepted are told of, too', async () => {
  const messages: unknown[] = [];
  const hear = (message: unknown): void => void messages.push(message);
  subscribe('lastcall:connection', hear);
  try {
    await using server = await listenHttp();
    const port = portOf(server);
    await using clients = startClients();
    const late = Array.from({ length: 30 }, () => ({ server: 'http', deed: 'idles', leaves: null }) as const);
    const order: ClientsOrder = { comeLate: late, to: { http: port } };
    clients.send(order);
    blockUntil('30 clients are queued', () => queuedAt(port) >= 30);
    const close = gracefulClose(server, { idleWait: 50, lingerWait: 50 });
    // Which throws away who is queued.
    server.close();
    const { connections } = await close;
    assert.ok(connections.cut.some(({ reason }) => reason === 'never accepted'));
    assert.equal(messages.length, connections.ended + connections.cut.length);
  } finally {
    unsubscribe('lastcall:connection', hear);
  }
});

function startClients(): TestProcess<ClientsTold> {
  return startFixture<ClientsTold>('connection/accounting-clients');
}

function checkReport({ options, abortAfter }: Population, accounted: Accounted): void {
  const { report, took, open, arrived, saw } = accounted;
  const { atStart, fromQueues, ended, farewells, cut } = report.connections;
  const inTime = Math.min(options.deadline, abortAfter ?? options.deadline) + SLACK;
  assert.ok(took <= inTime, `it took ${took} ms, and not at most ${inTime}`);
  assert.equal(atStart + fromQueues, ended + cut.length, 'each is ended or cut');
  assert.equal(atStart, open, 'the program had so many');
  const unseen = cut.filter(({ reason }) => reason === 'never accepted').length;
  assert.equal(fromQueues, arrived + unseen, 'the program was given so many');
  const connected = saw.filter((client) => client.connected);
  const stayed = connected.filter(({ leaves }) => leaves === null).length;
  const counted = atStart + fromQueues;
  assert.ok(counted >= stayed && counted <= connected.length, `${stayed} <= ${counted} <= ${connected.length}`);
  assert.equal(report.outcome, cut.length + report.doubts.length === 0 ? 'complete' : 'forced');
  assert.ok(farewells.answered <= farewells.said && farewells.said <= counted, JSON.stringify(farewells));
  assert.deepEqual(report.errors, []);
}

/** One message a connection, as ended or as cut. */
function checkMessages({ report, messages, saw }: Accounted): void {
  const { ended, cut } = report.connections;
  const toldAsCut = messages.flatMap((message) => (message.cut === undefined ? [] : [message.cut]));
  assert.equal(messages.length - toldAsCut.length, ended, 'messages of ended ones');
  assert.deepEqual(sorted(toldAsCut), sorted(cut));
  for (const message of messages) if (message.cut !== undefined) assert.equal(message.remote, message.cut.remote);
  // Clients of two servers may have the same port.
  const had = countEach(saw.map(({ port }) => `127.0.0.1:${port}`));
  const told = countEach(messages.map(({ remote }) => remote).filter((remote) => had.has(remote)));
  for (const [remote, times] of told) assert.ok(times <= (had.get(remote) ?? 0), `${remote} is told of ${times} times`);
}

/** Each is the address of one of the clients, but for a Unix socket's, and one that the kernel has forgotten, having been reset. */
function wrongNames({ report, messages, byUnix, saw }: Accounted): readonly string[] {
  const names = messages.map(({ remote }) => remote);
  const ports = new Set(saw.flatMap(({ port }) => (port === undefined ? [] : [`127.0.0.1:${port}`])));
  const nobodys = names.filter((name) => name !== 'unix' && name !== 'unknown' && !ports.has(name));
  const wrong = nobodys.map((name) => `${name} is nobody`);
  const unix = names.filter((name) => name === 'unix').length;
  if (unix !== byUnix) wrong.push(`${unix} are called \`unix\`, and ${byUnix} are`);
  const left = saw.filter(({ end, server }) => end === 'left' && server !== 'unix').length;
  const unknown = names.filter((name) => name === 'unknown').length;
  const nameless = unknown + unix - byUnix;
  if (nameless > left) wrong.push(`${nameless} have no name, and ${left} left by themselves`);
  const neverAccepted = report.connections.cut.filter(({ reason }) => reason === 'never accepted');
  const guessed = neverAccepted.filter(({ remote }) => remote !== 'unknown');
  return [...wrong, ...guessed.map(({ remote }) => `${remote} was never accepted`)];
}

/** Of those that have ended; a name that two clients have tells nothing of either. */
function wrongProtocols({ messages, saw }: Accounted, right: Set<string>): readonly string[] {
  return messages.flatMap(({ remote, protocol, cut }) => {
    const [client, another] = saw.filter(({ port }) => remote === `127.0.0.1:${port}`);
    if (client === undefined || another !== undefined || cut !== undefined) return [];
    if (spokenBy(client).includes(protocol)) {
      right.add(protocol);
      return [];
    }
    return [`${protocol} of one that ${client.deed} at ${client.server}, ${client.end}`];
  });
}

function spokenBy({ server, deed, end, leaves }: ClientSaw): readonly Protocol[] {
  if (server === 'h2c') return ['h2'];
  if (server === 'tcp' || server === 'unix') return ['raw'];
  if (!deed.endsWith('WebSocket')) return ['http/1.1'];
  // Who leaves may have done so before it had become one.
  return end === 'left' || leaves !== null ? ['websocket', 'http/1.1'] : ['websocket'];
}

function checkProgress({ report, progress }: Accounted): void {
  assert.ok(progress.length > 0);
  progress.forEach(({ elapsed, ended, toldAsEnded }, index) => {
    const before = progress[index - 1]?.elapsed ?? Number.NEGATIVE_INFINITY;
    assert.ok(elapsed - before >= 100, `told after ${elapsed - before} ms`);
    assert.equal(ended, toldAsEnded, 'as many as the channel has told of');
  });
  const last = progress.at(-1)!;
  const { atStart, fromQueues, ended } = report.connections;
  assert.ok(last.ended <= ended && last.ended + last.open <= atStart + fromQueues, JSON.stringify(last));
}

function checkWhatIsLeft({ report, reportLater, leftOpen, leftActive, saw }: Accounted): void {
  assert.equal(leftOpen, 0, 'connections are open after the report');
  assert.equal(leftActive, 0, 'sockets keep the process alive');
  assert.deepEqual(reportLater, report, 'the report has changed since');
  const waiting = saw.filter(({ connected, end }) => connected && end === 'nothing');
  assert.deepEqual(waiting, [], 'clients that saw no end');
}

function countEach(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function sorted(list: readonly object[]): readonly string[] {
  return list.map((item) => JSON.stringify(item)).toSorted();
}
