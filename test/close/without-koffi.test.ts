import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeCopyWithoutKoffi } from '../harness/copy-without-koffi.ts';
import { assertEndsWell, observeFixture, Program, type Told } from '../harness/observed-program.ts';

const CLIENTS = 20;
const FIXTURE = 'close/koffi-close';

async function assertServedWithoutGate(program: Program, reason: RegExp, queued: number): Promise<void> {
  const { report, facts }: Told = await program.next('closed');
  assert.deepEqual(
    facts?.answers,
    Array.from({ length: CLIENTS }, () => 'served'),
  );
  const [listener] = report?.listeners ?? [];
  assert.equal(listener?.gate, 'none');
  assert.match(listener?.reason ?? '', reason);
  assert.equal(listener?.queued, queued);
  assert.equal(report?.outcome, 'complete');
  assert.deepEqual(report?.connections.cut, []);
  assert.equal(report?.connections.fromQueues, CLIENTS);
  await assertEndsWell(program);
}

describe('a close without system calls', () => {
  it('serves who is queued and says that koffi did not load', async () => {
    using copy = makeCopyWithoutKoffi(FIXTURE);
    await using program = new Program(copy.program, { env: { NODE_PATH: '' } });
    await assertServedWithoutGate(program, /^koffi did not load \(Cannot find module 'koffi'\)$/, CLIENTS);
  });

  for (const platform of ['darwin', 'freebsd']) {
    it(`serves who is queued and says that ${platform} has no gate`, async () => {
      // Nobody can tell there how many are queued.
      await using program = observeFixture(FIXTURE, { args: [platform] });
      await assertServedWithoutGate(program, new RegExp(`^no gate on ${platform}, only on Linux$`), 0);
    });
  }

  it('has its control: the same schedule with koffi shuts the gate', async () => {
    await using program = observeFixture(FIXTURE);
    const { report, facts } = await program.next('closed');
    assert.equal(report?.listeners[0]?.gate, 'refuse');
    assert.equal(report?.listeners[0]?.queued, CLIENTS);
    assert.deepEqual(
      facts?.answers,
      Array.from({ length: CLIENTS }, () => 'served'),
    );
  });
});
