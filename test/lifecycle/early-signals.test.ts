import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { holdStill } from '../program/foreign-program.ts';
import { findPort, start, untilAccepted } from '../harness/lastcall-command.ts';
import { queueClients, tally } from '../program/queued-clients.ts';

const HOST = '127.0.0.1';
const PROGRAM = fileURLToPath(new URL('../fixtures/program/node-without-handler.js', import.meta.url));
const REGISTER = new URL('../../lib/register.js', import.meta.url).href;

/** The first client that gets in is the moment: then it is held still, clients queue up, and the signal is there when it goes on. */
async function stopAtOnce(
  t: Parameters<typeof start>[0],
  options: readonly string[],
): Promise<Readonly<Record<string, number>>> {
  const target = { host: HOST, port: await findPort() };
  const running = start(t, [process.execPath, ...options, PROGRAM, String(target.port), HOST]);
  await untilAccepted(t, target);
  const still = holdStill(t, running.pid);
  const clients = await queueClients(t, 10, target);
  process.kill(running.pid, 'SIGTERM');
  still.goOn();
  const outcomes = tally(await clients.outcomes);
  await running.ended;
  return outcomes;
}

test('a signal that comes as soon as the first client gets in loses nobody', async (t) => {
  for (let stop = 1; stop <= 3; stop += 1) {
    assert.deepEqual(await stopAtOnce(t, ['--import', REGISTER]), { served: 10 });
  }
});

test('control: without lastcall it resets all', async (t) => {
  assert.deepEqual(await stopAtOnce(t, []), { ECONNRESET: 10 });
});

test('a signal that comes before anything listens ends the program, as it would without lastcall', async (t) => {
  const program = `
    require('node:dns').lookup = () => process.stdout.write('looking up\\n');
    require('node:net').createServer().listen({ port: 0, host: 'localhost' });
    setInterval(() => {}, 1_000);`;
  const running = start(t, [process.execPath, '--import', REGISTER, '-e', program]);
  await running.says(/looking up/);
  process.kill(running.pid, 'SIGTERM');
  assert.equal((await running.ended).signal, 'SIGTERM');
});
