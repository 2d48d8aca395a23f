import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort, untilAccepted } from '../harness/ports.ts';
import { startCommand, startFixture } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { REGISTER } from '../harness/start-service.ts';
import { connectClients, tally } from './one-request.ts';

const HOST = '127.0.0.1';
const CLIENTS = 10;
const proof = prove('a signal that comes as soon as the first client gets in');

/** When the first client gets in, the process is held still. Clients queue up, and the signal is pending when it goes on. */
async function stopAtOnce(execArgv: readonly string[]): Promise<Readonly<Record<string, number>>> {
  const target = { host: HOST, port: await freePort() };
  await using program = startFixture('program/node-without-handler', { args: [String(target.port), HOST], execArgv });
  await untilAccepted(target);
  await program.hold();
  using clients = await connectClients(CLIENTS, target);
  program.signal('SIGTERM');
  program.goOn();
  const outcomes = tally(await clients.answers);
  await program.ended;
  return outcomes;
}

test('a signal that comes as soon as the first client gets in loses no client', async (t) => {
  for (let stop = 1; stop <= 3; stop += 1) {
    assert.deepEqual(await stopAtOnce(['--import', REGISTER]), { 'HTTP/1.1 200 OK': CLIENTS });
    proof.held(t, { queued: CLIENTS });
  }
});

test('control: without lastcall it resets all clients', async (t) => {
  const { ECONNRESET = 0, ...others } = await stopAtOnce([]);
  assert.deepEqual({ ECONNRESET, ...others }, { ECONNRESET: CLIENTS });
  proof.lost(t, ECONNRESET);
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
