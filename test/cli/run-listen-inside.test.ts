// `lastcall run --listen` around Node programs that stop themselves: `run` holds the listener, too, and serves nobody.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { startLastcall } from '../harness/lastcall-command.ts';
import { freePort, untilAccepted } from '../harness/ports.ts';
import { holdAll } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until } from '../harness/wait.ts';
import { foreignLine, runForeign } from '../program/foreign-program-driver.ts';
import { hasPending } from '../program/pending-signals.ts';
import { countUnserved, queueClients, tally } from '../program/queued-clients.ts';

const HOST = '127.0.0.1';
const CLIENTS = 40;
const ORDERS = { inherits: true, atSignal: 'default' };

suite('a Node program whose listener lastcall run has opened', () => {
  const proof = prove('clients of a listener that lastcall run has opened for a Node program that stops itself');

  test('gets the signal when its queue is empty', async (t) => {
    const target = { port: await freePort(), host: HOST };
    const options = ['--listen', `tcp:${HOST}:${target.port}`];
    await using running = await runForeign(ORDERS, options, { inside: true });
    const goOn = await holdAll([running.program]);
    using clients = await queueClients(CLIENTS, target);
    running.signal('SIGTERM');
    await untilAccepted(target, false);
    goOn();
    assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
    const { ended, report } = await running.finished;
    const [listener] = report?.listeners ?? [];
    assert.deepEqual(
      { code: ended.code, outcome: report?.outcome, gate: listener?.gate, left: listener?.left },
      { code: 0, outcome: 'complete', gate: 'refuse', left: 0 },
    );
    proof.held(t, { queued: listener?.queued });
  });

  test('shuts the gate itself, after a lame duck of its own', async (t) => {
    const target = { port: await freePort(), host: HOST };
    const options = ['--listen', `tcp:${HOST}:${target.port}`];
    const env = { LASTCALL_LAME_DUCK: '1ms' };
    await using running = await runForeign(ORDERS, options, { inside: true, env });
    const goOn = await holdAll([running.program]);
    using clients = await queueClients(CLIENTS, target);
    running.signal('SIGTERM');
    await until('the signal is forwarded at once', () => hasPending(running.program, 'SIGTERM'));
    goOn();
    assert.deepEqual(tally(await clients.outcomes), { served: CLIENTS });
    const { ended, report } = await running.finished;
    assert.deepEqual({ code: ended.code, outcome: report?.outcome }, { code: 0, outcome: 'complete' });
    proof.held(t, { queued: CLIENTS });
  });

  test('control: two siblings that leave the queue to each other, without lastcall, lose it', async (t) => {
    const { outcomes } = await stopSiblings('plainly');
    proof.lost(t, countUnserved(outcomes));
  });

  test('leaves it to no sibling that ends, too: nobody is lost where two share it behind a shell', async (t) => {
    const { outcomes } = await stopSiblings('run');
    assert.deepEqual(tally(outcomes), { served: CLIENTS });
    proof.held(t, { queued: CLIENTS });
  });
});

/** Two programs behind a shell that listen on one socket, opened by `lastcall run`. Plainly: each gets the signal alone. */
async function stopSiblings(how: 'run' | 'plainly'): Promise<{ readonly outcomes: readonly string[] }> {
  const target = { port: await freePort(), host: HOST };
  const line = foreignLine(ORDERS)
    .map((word) => `'${word}'`)
    .join(' ');
  const flag = how === 'run' ? '--inside' : '--no-inside';
  const options = ['run', flag, '--listen', `tcp:${HOST}:${target.port}`, '--', 'sh', '-c', `${line} & ${line} & wait`];
  await using running = startLastcall(options);
  await running.prints(/(^ready [^]*){2}/m);
  const pids = [...running.stdout.matchAll(/^ready (\d+) /gm)].map(([, pid]) => Number(pid));
  const goOn = await holdAll(pids);
  using clients = await queueClients(CLIENTS, target);
  if (how === 'run') {
    running.signal('SIGTERM');
    await untilAccepted(target, false);
  } else for (const pid of pids) process.kill(pid, 'SIGTERM');
  goOn();
  return { outcomes: await clients.outcomes };
}
