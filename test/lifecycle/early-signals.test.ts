import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort, untilAccepted } from '../harness/ports.ts';
import { fixture, holdTree, startCommand } from '../harness/processes.ts';
import { queueClients, tally } from '../program/queued-clients.ts';

const HOST = '127.0.0.1';
const PROGRAM = fixture('program/node-without-handler');
const REGISTER = new URL('../../lib/register.js', import.meta.url).href;

/** The first client that gets in is the moment: then it is held still, clients queue up, and the signal is there when it goes on. */
async function stopAtOnce(options: readonly string[]): Promise<Readonly<Record<string, number>>> {
  const target = { host: HOST, port: await freePort() };
  await using running = startCommand([process.execPath, ...options, PROGRAM, String(target.port), HOST]);
  await untilAccepted(target);
  const goOn = await holdTree(running.pid);
  using clients = await queueClients(10, target);
  running.signal('SIGTERM');
  goOn();
  const outcomes = tally(await clients.outcomes);
  await running.ended;
  return outcomes;
}

test('a signal that comes as soon as the first client gets in loses nobody', async () => {
  for (let stop = 1; stop <= 3; stop += 1) {
    assert.deepEqual(await stopAtOnce(['--import', REGISTER]), { served: 10 });
  }
});

test('control: without lastcall it resets all', async () => {
  assert.deepEqual(await stopAtOnce([]), { ECONNRESET: 10 });
});

test('a signal that comes before anything listens ends the program, as it would without lastcall', async () => {
  const program = `
    require('node:dns').lookup = () => process.stdout.write('looking up\\n');
    require('node:net').createServer().listen({ port: 0, host: 'localhost' });
    setInterval(() => {}, 1_000);`;
  await using running = startCommand([process.execPath, '--import', REGISTER, '-e', program]);
  await running.prints(/looking up/);
  running.signal('SIGTERM');
  assert.equal((await running.ended).signal, 'SIGTERM');
});
