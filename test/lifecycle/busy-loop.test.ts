import assert from 'node:assert/strict';
import http from 'node:http';
import { suite, test } from 'node:test';
import type { BusyServiceTells } from '../fixtures/lifecycle/busy-service.ts';
import { startFixture } from '../harness/processes.ts';

// A signal reaches the program when its event loop next turns. The supervisor counts from when it sent the signal.

const DEADLINE = 4_000;
const BUSY = 3_000;
/** A busy machine takes its time to end a process. */
const TO_END = 2_000;

suite('a service whose event loop is busy when the signal comes', () => {
  test('its deadline counts from when the loop was last idle', { timeout: 60_000 }, async () => {
    const { after, stderr } = await stopWhileBusy(BUSY);
    assert.ok(after < DEADLINE + TO_END, `it ended after ${after} ms: ${stderr}`);
    assert.ok(after >= DEADLINE - TO_END, `it ended after ${after} ms: ${stderr}`);
    assert.match(stderr, /1 connection/);
  });

  test('control: without that time the deadline counts from when the program hears of it', async () => {
    const { after, stderr } = await stopWhileBusy(BUSY, 'blind');
    assert.ok(after >= BUSY + DEADLINE * 0.8, `it ended after ${after} ms: ${stderr}`);
  });

  test('a tenth of the deadline is left, however long the loop was busy', { timeout: 60_000 }, async () => {
    const { after, stderr } = await stopWhileBusy(DEADLINE + 1_000);
    assert.ok(after < DEADLINE + 1_000 + DEADLINE / 10 + TO_END, `it ended after ${after} ms: ${stderr}`);
    assert.match(stderr, /1 connection/);
  });

  test('where it was idle the whole deadline is left', { timeout: 60_000 }, async () => {
    const { after, stderr } = await stopWhileBusy(0);
    // Its last part is kept for `onDrained`.
    assert.ok(after >= DEADLINE * 0.8, `it ended after ${after} ms: ${stderr}`);
  });
});

/** Stops a service with an unanswered request; it is busy for so long from the signal on. How long it took from the signal. */
async function stopWhileBusy(
  busy: number,
  ...args: readonly string[]
): Promise<{ readonly after: number; readonly stderr: string }> {
  await using service = startFixture<BusyServiceTells>('lifecycle/busy-service', { args: [`${DEADLINE}`, ...args] });
  const port = await service.next('port');
  const request = http.get({ port, host: '127.0.0.1' }).on('error', () => {});
  await service.next('asked');
  const began = performance.now();
  service.send({ busy });
  const { stderr } = await service.ended;
  request.destroy();
  return { after: performance.now() - began, stderr };
}
