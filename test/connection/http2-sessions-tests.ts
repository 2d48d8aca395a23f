import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { needsPrograms } from '../harness/needs.ts';
import { prove } from '../harness/proof.ts';
import { labMissing } from '../lab/lab.ts';
import {
  assertAllAnswered,
  assertComplete,
  closeUnderSessions,
  Http2Server,
  stopUnderSessions,
  sum,
} from './http2-server-driver.ts';

// The last stream of the GOAWAY that is only a notice (RFC 9113 6.8).
const NOTICE = 2 ** 31 - 1;

/** Bytes of some 20 streams under TLS. */
const UNREAD = 1_000;

/** Tests closes of an HTTP/2 server that runs on this Node, or on another, under sessions that open streams all the time. */
export function testHttp2Sessions({ title, path, missing }: Runner): void {
  const skip = labMissing || missing;
  // Two at a time: each has a wire of its own.
  suite(`20 HTTP/2 sessions over 25 ms, a stream every 10 ms, on ${title}`, { skip, concurrency: 2 }, () => {
    const proofs = {
      cleartext: prove(`20 HTTP/2 sessions with many streams in cleartext, on ${title}`),
      tls: prove(`20 HTTP/2 sessions with many streams under TLS, on ${title}`),
      held: prove(`20 HTTP/2 sessions under TLS whose server is held, on ${title}`),
    };

    test('in cleartext no stream is refused, none is cut, and each session gets its notice and then its last stream', async (t) => {
      const { report, seen } = await closeUnderSessions({ way: 'cleartext', node: path });
      assertAllAnswered(seen);
      assert.deepEqual(
        seen.map(({ refused }) => refused.length),
        seen.map(() => 0),
      );
      for (const { goaways, opened } of seen) {
        const [first, ...others] = goaways;
        assert.equal(first, NOTICE);
        // Node repeats the second when it ends the session.
        assert.deepEqual([...new Set(others)], [Math.max(...opened)]);
      }
      assertComplete(report);
      assert.equal(report.connections.lateRequests, 0);
      const served = sum(seen, (session) => session.served);
      t.diagnostic(`${served} served, 0 refused`);
      proofs.cleartext.held(t, { sessions: seen.length, streams: served });
    });

    test('under TLS none is cut, and those that cross the GOAWAY are refused as never processed', {
      skip: needsPrograms('openssl'),
    }, async (t) => {
      const { report, seen, processed } = await closeUnderSessions({ way: 'tls', node: path });
      assertAllAnswered(seen);
      const refused = sum(seen, (session) => session.refused.length);
      assert.ok(refused > 0, 'some streams have crossed the GOAWAY');
      assert.equal(
        processed,
        sum(seen, ({ served }) => served),
      );
      for (const session of seen) {
        const [last = 0] = session.goaways;
        assert.deepEqual([...new Set(session.goaways)], [last]);
        assert.ok(session.refused.every((id) => id > last));
      }
      assertComplete(report);
      t.diagnostic(`${processed} served, ${refused} refused`);
      proofs.tls.held(t, { sessions: seen.length, streams: processed });
    });

    test('in cleartext none is cut where the program pushes with each stream, and no session gets the notice', async (t) => {
      const { report, seen, processed } = await closeUnderSessions({ way: 'cleartext', node: path, pushes: true });
      assertAllAnswered(seen);
      const goaways = seen.flatMap((session) => session.goaways);
      assert.ok(goaways.length > 0 && !goaways.includes(NOTICE));
      assertComplete(report);
      proofs.cleartext.held(t, { sessions: seen.length, 'streams with a push': processed });
    });

    test("under TLS fewer are refused by a server that was held than by Node's own session.close(), side by side", {
      skip: needsPrograms('openssl'),
    }, async (t) => {
      await using plain = await Http2Server.start({ way: 'tls', node: path });
      const [ours, seenWithout] = await Promise.all([
        closeUnderSessions({ way: 'tls', node: path }, UNREAD),
        stopUnderSessions(plain, 'tls', () => plain.closeSessions(UNREAD)),
      ]);
      assertAllAnswered(ours.seen);
      assertComplete(ours.report);
      const refused = sum(ours.seen, (session) => session.refused.length);
      const refusedWithout = sum(seenWithout, (session) => session.refused.length);
      assert.ok(refused < refusedWithout, `${refused} refused, without lastcall ${refusedWithout}`);
      t.diagnostic(`${refused} refused, by session.close() ${refusedWithout}`);
      proofs.held.held(t, { sessions: ours.seen.length, 'unread bytes on each': UNREAD });
      proofs.held.lost(t, refusedWithout);
    });

    for (const way of ['cleartext', 'tls'] as const) {
      const words = way === 'tls' ? 'under TLS' : 'in cleartext';
      test(`control: ${words} a plain close and exit cuts streams`, {
        skip: way === 'tls' && needsPrograms('openssl'),
      }, async (t) => {
        await using server = await Http2Server.start({ way, node: path });
        const seen = await stopUnderSessions(server, way, () => server.exit());
        proofs[way].lost(
          t,
          sum(seen, ({ cut }) => cut.length),
        );
      });
    }
  });
}

/** A Node that runs the server. */
export interface Runner {
  readonly title: string;
  readonly path: string;
  readonly missing: string | false;
}
