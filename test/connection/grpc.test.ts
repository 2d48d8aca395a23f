import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { count } from '../harness/counts.ts';
import { certificateMissing, makeCertificate } from '../harness/certificate.ts';
import type { GrpcClientsOrder, GrpcLoad, GrpcTally } from '../fixtures/connection/grpc/grpc-clients.ts';
import type { GrpcServerClosed, GrpcServerOrder } from '../fixtures/connection/grpc/grpc-server.ts';
import { CALL_KINDS } from '../fixtures/connection/grpc/grpc-service.ts';
import { ForkedProgram } from './forked-program.ts';

/** Connections are quiet only when their last call has ended. */
const OPTIONS = { idleWait: 500 };

for (const { over, secure } of [
  { over: 'cleartext', secure: false },
  { over: 'TLS', secure: true },
]) {
  describe(`a grpc-js server over ${over}`, { skip: secure && certificateMissing, timeout: 180_000 }, () => {
    const pem = secure && certificateMissing === false ? makePem() : {};

    it('ends every call OK that was begun before the client knew of the close, whatever its kind', async (t) => {
      for (let stop = 1; stop <= count(10); stop += 1) {
        const { server, clients, address } = await startOne(t, pem);
        clients.order({ load: { ...loadOf(pem), address, until: 'the first goodbye' }, enough: 100 });
        await clients.next('enough');
        server.order({ close: OPTIONS });
        const closed = await server.next<GrpcServerClosed>('closed');
        const calls = await clients.next<readonly GrpcTally[]>('calls');
        assertNoneFailed(calls);
        assertAllUnderWay(closed);
        assertComplete(closed);
        // Every call that the server saw has ended OK, and it refused none (over TLS it may have to).
        const [ok, neverSent] = [total(calls, 'ok'), total(calls, 'neverSent')];
        assert.equal(ok, closed.begun);
        if (!secure) assert.equal(closed.report.connections.lateRequests, 0);
        t.diagnostic(
          `${JSON.stringify(closed.underWay)} under way, ${closed.begunDuring} begun later, ${neverSent} never sent, ${closed.report.connections.lateRequests} refused`,
        );
      }
    });

    it('closes under load, beside a second one, and no call at all fails', async (t) => {
      for (let stop = 1; stop <= count(10); stop += 1) {
        const { first, clients } = await startTwo(t, pem);
        first.order({ close: OPTIONS });
        const closed = await first.next<GrpcServerClosed>('closed');
        assertAllUnderWay(closed);
        assertComplete(closed);
        // The client goes on with the second one alone.
        clients.order({ enough: 100 });
        await clients.next('enough');
        clients.order({ stop: true });
        const calls = await clients.next<readonly GrpcTally[]>('calls');
        assertNoneFailed(calls);
        assert.equal(total(calls, 'neverSent'), 0);
        t.diagnostic(`${total(calls, 'ok')} calls, ${closed.begun} of them to the first, 0 failed`);
      }
    });

    it('control: under load, beside a second one, its forceShutdown() and exit fail calls', async (t) => {
      const { first, clients } = await startTwo(t, pem);
      first.order({ forceShutdown: true });
      await first.ended;
      clients.order({ enough: 100 });
      await clients.next('enough');
      clients.order({ stop: true });
      const calls = await clients.next<readonly GrpcTally[]>('calls');
      const failed = calls.flatMap((tally) => tally.failed);
      assert(failed.length >= 10, `${failed.length} failed`);
      t.diagnostic(`${failed.length} failed`);
    });
  });
}

function makePem(): { readonly key: string; readonly cert: string } {
  const { key, cert } = makeCertificate();
  return { key: key.toString(), cert: cert.toString() };
}

/** Calls of which many are under way at any time. */
function loadOf({ cert }: { readonly cert?: string }): Pick<GrpcLoad, 'callsOfEach' | 'lasting' | 'cert'> {
  return { callsOfEach: 20, lasting: 200, ...(cert === undefined ? {} : { cert }) };
}

async function startOne(
  t: TestContext,
  pem: { readonly key?: string; readonly cert?: string },
): Promise<{ server: ForkedProgram<GrpcServerOrder>; clients: ForkedProgram<GrpcClientsOrder>; address: string }> {
  const server = new ForkedProgram<GrpcServerOrder>(t, 'connection/grpc/grpc-server.js', [JSON.stringify(pem)]);
  const clients = new ForkedProgram<GrpcClientsOrder>(t, 'connection/grpc/grpc-clients.js');
  return { server, clients, address: `127.0.0.1:${await server.next<number>('port')}` };
}

/** Two servers, both called in turn by one client. */
async function startTwo(
  t: TestContext,
  pem: { readonly key?: string; readonly cert?: string },
): Promise<{ first: ForkedProgram<GrpcServerOrder>; clients: ForkedProgram<GrpcClientsOrder> }> {
  const { server: first, clients, address } = await startOne(t, pem);
  const second = new ForkedProgram<GrpcServerOrder>(t, 'connection/grpc/grpc-server.js', [JSON.stringify(pem)]);
  const both = `ipv4:${address},127.0.0.1:${await second.next<number>('port')}`;
  clients.order({ load: { ...loadOf(pem), address: both, until: 'the order' }, enough: 160 });
  await clients.next('enough');
  return { first, clients };
}

function assertNoneFailed(calls: readonly GrpcTally[]): void {
  for (const { kind, ok, failed } of calls) {
    assert.deepEqual(failed, [], kind);
    assert(ok > 0, `${kind}: ${ok}`);
  }
}

function assertComplete({ report }: GrpcServerClosed): void {
  assert.deepEqual([report.outcome, report.connections.cut], ['complete', []]);
  assert.equal(report.connections.farewells.said, 1);
}

function total(calls: readonly GrpcTally[], what: 'ok' | 'neverSent'): number {
  return calls.reduce((sum, tally) => sum + tally[what], 0);
}

function assertAllUnderWay({ underWay }: GrpcServerClosed): void {
  for (const kind of CALL_KINDS) assert(underWay[kind] > 0, JSON.stringify(underWay));
}
