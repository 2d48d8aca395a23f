import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeCertificate } from '../harness/certificate.ts';
import { count } from '../harness/counts.ts';
import { needsPrograms } from '../harness/needs.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { CALL_KINDS } from '../fixtures/connection/grpc/grpc-service.ts';
import type { GrpcServerClosed } from '../fixtures/connection/grpc/grpc-server.ts';
import type { GrpcTally } from '../fixtures/connection/grpc/grpc-clients.ts';
import { type Pem, startGrpc, startTwoGrpc } from './grpc-driver.ts';

/** Connections are quiet only when their last call has ended. */
const OPTIONS = { idleWait: 500 };

const needsOpenssl = needsPrograms('openssl');

for (const { over, secure } of [
  { over: 'cleartext', secure: false },
  { over: 'TLS', secure: true },
]) {
  describe(`a grpc-js server over ${over}`, { skip: secure && needsOpenssl, timeout: 180_000 }, () => {
    const pem = secure && needsOpenssl === false ? makePem() : {};
    const alone = prove(`gRPC calls that are under way to a server that stands alone, over ${over}`);

    it('ends every call OK that was begun before the client knew of the close, whatever its kind', async (t) => {
      for (let stop = 1; stop <= count(10); stop += 1) {
        await using scope = new Scope();
        const { server, clients } = await startGrpc(scope, pem);
        server.send({ close: OPTIONS });
        const closed = await server.next('closed');
        const calls = await clients.next('calls');
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
        alone.held(t, { 'under way': totalUnderWay(closed) });
      }
    });

    it('control: its forceShutdown() and exit fail the calls that are under way', async (t) => {
      await using scope = new Scope();
      const { server, clients } = await startGrpc(scope, pem);
      server.send({ forceShutdown: true });
      const cutting = await server.next('cutting');
      const failed = failedOf(await clients.next('calls'));
      assert(failed.length >= cutting && cutting >= 10, `${failed.length} failed, ${cutting} were under way`);
      alone.lost(t, failed.length);
    });

    const besideAnother = prove(`gRPC calls to two servers of which one is closed, over ${over}`);

    it('closes under load, beside a second one, and no call at all fails', async (t) => {
      for (let stop = 1; stop <= count(10); stop += 1) {
        await using scope = new Scope();
        const { first, clients } = await startTwoGrpc(scope, pem);
        first.send({ close: OPTIONS });
        const closed = await first.next('closed');
        assertAllUnderWay(closed);
        assertComplete(closed);
        // The client goes on with the second one alone.
        clients.send({ enough: 100 });
        await clients.next('enough');
        clients.send({ stop: true });
        const calls = await clients.next('calls');
        assertNoneFailed(calls);
        assert.equal(total(calls, 'neverSent'), 0);
        t.diagnostic(`${total(calls, 'ok')} calls, ${closed.begun} of them to the first, 0 failed`);
        besideAnother.held(t, { 'under way': totalUnderWay(closed) });
      }
    });

    it('control: under load, beside a second one, its forceShutdown() and exit fail calls', async (t) => {
      await using scope = new Scope();
      const { first, clients } = await startTwoGrpc(scope, pem);
      first.send({ forceShutdown: true });
      const cutting = await first.next('cutting');
      await first.ended;
      clients.send({ enough: 100 });
      await clients.next('enough');
      clients.send({ stop: true });
      const failed = failedOf(await clients.next('calls'));
      assert(failed.length >= cutting && cutting >= 10, `${failed.length} failed, ${cutting} were under way`);
      besideAnother.lost(t, failed.length);
    });
  });
}

function makePem(): Pem {
  const { key, cert } = makeCertificate();
  return { key: key.toString(), cert: cert.toString() };
}

function assertNoneFailed(calls: readonly GrpcTally[]): void {
  for (const { kind, ok, failed } of calls) {
    assert.deepEqual(failed, [], kind);
    assert(ok > 0, `${kind}: ${ok}`);
  }
}

function assertComplete({ report }: GrpcServerClosed): void {
  const { outcome, connections } = report;
  assert.deepEqual(
    { outcome, cut: connections.cut, said: connections.farewells.said },
    { outcome: 'complete', cut: [], said: 1 },
  );
}

function assertAllUnderWay({ underWay }: GrpcServerClosed): void {
  for (const kind of CALL_KINDS) assert(underWay[kind] > 0, JSON.stringify(underWay));
}

function totalUnderWay({ underWay }: GrpcServerClosed): number {
  return Object.values(underWay).reduce((sum, calls) => sum + calls, 0);
}

function total(calls: readonly GrpcTally[], what: 'ok' | 'neverSent'): number {
  return calls.reduce((sum, tally) => sum + tally[what], 0);
}

function failedOf(calls: readonly GrpcTally[]): readonly string[] {
  return calls.flatMap((tally) => tally.failed);
}
