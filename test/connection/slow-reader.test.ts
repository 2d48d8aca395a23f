import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CloseReport, Protocol } from '../../src/index.ts';
import type { SlowOrder, SlowOutcome, SlowReaderTold } from '../fixtures/connection/http1/http-slow-reader.ts';
import type { SlowProtocol, SlowSetup, SlowStop, SlowTold } from '../fixtures/connection/http1/http-slow-server.ts';
import { needsPrograms } from '../harness/needs.ts';
import { startFixture } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { labMissing, openLab } from '../lab/lab.ts';

// A client that reads slowly is no quiet one: for seconds nothing may move but acknowledgements, and most of what it is to get
// waits in the server's program and in its kernel.

const BYTES = 10_000_000;
const RATE = 1_000_000;
const TOLD_AFTER = 500_000;

const KINDS: readonly { readonly name: SlowProtocol; readonly reported: Protocol; readonly missing: string | false }[] =
  [
    { name: 'http', reported: 'http/1.1', missing: labMissing },
    { name: 'https', reported: 'http/1.1', missing: labMissing || needsPrograms('openssl') },
    { name: 'h2c', reported: 'h2', missing: labMissing },
    { name: 'raw', reported: 'raw', missing: labMissing },
  ];

suite('a client that reads 10 MB at 1 MB/s', { concurrency: true }, () => {
  for (const { name, reported, missing } of KINDS) {
    const proof = prove(`10 MB to a client that reads 1 MB/s, over ${name}`);

    test(`gets all of it over ${name} if the deadline allows`, { skip: missing, timeout: 60_000 }, async (t) => {
      const { outcome, report } = await stopWhileReading(name, { deadline: 40_000 });
      const told = JSON.stringify({ outcome, report });
      const { received, ended } = outcome;
      assert.deepEqual({ received, ended }, { received: BYTES, ended: 'EOF' }, told);
      // It was slow, and the close waited for it.
      assert.ok(outcome.milliseconds > 9_000 && (report?.duration ?? 0) > 2_000, told);
      assertReport(report, { outcome: 'complete', ended: 1 }, told);
      t.diagnostic(`read in ${outcome.milliseconds.toFixed()} ms, closed in ${report?.duration.toFixed()} ms`);
      proof.held(t, { 'reading slowly': report?.connections.ended });
    });

    test(`is named in the report over ${name} if the deadline does not`, {
      skip: missing,
      timeout: 60_000,
    }, async (t) => {
      const { outcome, report } = await stopWhileReading(name, { deadline: 2_000 });
      const told = JSON.stringify({ outcome, report });
      assert.ok(outcome.received < BYTES, told);
      assertReport(report, { outcome: 'forced', ended: 0 }, told);
      assert.equal(report?.connections.cut.length, 1, told);
      const [{ unacknowledged, ...cut } = { unacknowledged: 0 }] = report?.connections.cut ?? [];
      const streams = reported === 'h2' ? { streams: 1 } : {};
      assert.deepEqual(cut, { remote: outcome.address, protocol: reported, reason: 'deadline', ...streams }, told);
      // All that it did not get is among them; what was in the server's kernel has still come.
      assert.ok(unacknowledged > 0 && outcome.received + unacknowledged >= BYTES, told);
      // Of an HTTP/2 stream the chunk counts as a whole that waits for the client's window.
      if (name !== 'h2c') assert.ok(unacknowledged < BYTES, told);
      t.diagnostic(`${outcome.received} bytes read, ${unacknowledged} not acknowledged`);
    });

    test(`control: is cut over ${name} by a program that closes and exits`, {
      skip: missing,
      timeout: 60_000,
    }, async (t) => {
      const { outcome } = await stopWhileReading(name, {});
      assert.ok(outcome.received < BYTES, JSON.stringify(outcome));
      t.diagnostic(`${outcome.received} bytes read, then ${outcome.ended}`);
      proof.lost(t, 1);
    });
  }
});

function assertReport(
  report: CloseReport | undefined,
  { outcome, ended }: { readonly outcome: CloseReport['outcome']; readonly ended: number },
  told: string,
): void {
  assert.equal(report?.outcome, outcome, told);
  assert.equal(report.connections.ended, ended, told);
}

/** Stops the server when its client has read the first part. */
async function stopWhileReading(
  protocol: SlowProtocol,
  stop: SlowStop,
): Promise<{ outcome: SlowOutcome; report: CloseReport | undefined }> {
  await using lab = await openLab({ delay: 10 });
  const setup: SlowSetup = { protocol, bytes: BYTES };
  await using server = startFixture<SlowTold>('connection/http1/http-slow-server', {
    host: lab.server,
    args: [JSON.stringify(setup)],
  });
  const port = await server.next('port');

  await using reader = startFixture<SlowReaderTold>('connection/http1/http-slow-reader', { host: lab.client });
  const order: SlowOrder = { host: lab.server.ipv4, port, protocol, rate: RATE, tellAfter: TOLD_AFTER };
  reader.send(order);
  await reader.next('reading');
  server.send(stop);
  const report = stop.deadline === undefined ? undefined : await server.next('report');
  return { report, outcome: await reader.next('outcome') };
}
