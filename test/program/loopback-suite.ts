import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { count } from '../harness/counts.ts';
import { prove } from '../harness/proof.ts';
import { CLIENTS } from '../harness/storms.ts';
import { type ForeignProgram, whyMissing } from './programs.ts';
import { countUnserved } from './queued-clients.ts';
import { HALF_OPEN, type Stopped, stopOnLoopback } from './stop-on-loopback.ts';

/** Registers the stops of one program on loopback, and their control. */
export function suiteOnLoopback(program: ForeignProgram): void {
  // Two at a time, because each waits for its program to start and to end.
  suite(`${CLIENTS} clients of ${program.title}`, { skip: whyMissing(program), concurrency: 2 }, () => {
    const proof = prove(`${CLIENTS} clients of ${program.title}, on loopback`);

    for (const way of ['run', 'stop'] as const) {
      test(`${way}: no client is lost in any stop, and its exit code is the program's`, async (t) => {
        for (let stop = 1; stop <= count(10, 1); stop += 1) {
          const stopped = await stopOnLoopback(program, way);
          assertNoneLost(stopped);
          assert.equal(stopped.command.code, way === 'run' ? program.exitCode : 0, stopped.command.stderr);
          proof.held(t, { queued: stopped.report?.listeners[0]?.queued, halfOpen: stopped.wereHalfOpen });
        }
      });
    }

    test('control: by the signal alone it loses clients', async (t) => {
      const { result, wereHalfOpen, halfOpen } = await stopOnLoopback(program, 'plainly');
      assert.equal(wereHalfOpen, HALF_OPEN);
      assert.equal(countUnserved(halfOpen), HALF_OPEN, 'half-open clients are reset');
      t.diagnostic(`of the storm ${result.lost} were lost, and ${result.counts.refused} refused`);
      proof.lost(t, result.lost + HALF_OPEN);
    });
  });
}

function assertNoneLost({ result, wereHalfOpen, halfOpen, report, command }: Stopped): void {
  const { counts, lost, errors } = result;
  const details = JSON.stringify({ counts, errors, halfOpen, report, command });
  const { failed, aborted, serverErrors, refused } = counts;
  assert.deepEqual(
    { lost, failed, aborted, serverErrors, refused, unserved: countUnserved(halfOpen) },
    { lost: 0, failed: 0, aborted: 0, serverErrors: 0, refused: CLIENTS, unserved: 0 },
    details,
  );
  assert.deepEqual({ outcome: report?.outcome, notes: report?.notes }, { outcome: 'complete', notes: [] }, details);
  // The state was there: the gate was shut with a deep queue and half-open clients, and the program emptied the queue.
  const [listener, ...others] = report?.listeners ?? [];
  const { gate, reason, queuedAtSignal, left } = listener ?? {};
  assert.deepEqual(
    { gate, reason, queuedAtSignal, left, others },
    { gate: 'refuse', reason: undefined, queuedAtSignal: 0, left: 0, others: [] },
    details,
  );
  assert.equal(wereHalfOpen, HALF_OPEN);
  assert.ok(Number(listener?.queued) >= CLIENTS / 2, details);
  // The gate ends TCP_DEFER_ACCEPT: half-open clients may be in the queue before lastcall counts.
  assert.ok(Number(listener?.queued) + Number(listener?.halfOpen) >= CLIENTS / 2 + HALF_OPEN, details);
}
