import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test } from 'node:test';
import { get, RawHttpClient } from '../connection/raw-http-client.ts';
import { type Program } from '../harness/observed-program.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { ENDED_WELL, type ServiceOptions, startService } from '../harness/start-service.ts';
import { within } from '../harness/wait.ts';

suite('a request under way at an http server that never listens, and is handed connections which the program has made,', () => {
  const proof = prove('requests under way at a server that never listens');

  for (const { how, calls, options } of [
    { how: 'by register', calls: '', options: { registration: '--import' } },
    { how: 'by lastCall', calls: 'lastCall', options: {} },
  ] as const) {
    test(`is answered, ${how}`, async (t) => {
      await using scope = new Scope();
      const { program, tunnel } = await startTunnel(scope, calls, options);
      process.kill(program.pid, 'SIGTERM');
      await program.next('state');
      process.kill(program.pid, 'SIGUSR2');
      assert.match(await textOf(tunnel), /^connection: close\r\n[^]*\r\n\r\nserved$/im);
      assert.deepEqual(await program.ended, ENDED_WELL);
      proof.held(t, { 'under way': 1 });
    });
  }

  test('control: without lastcall is cut', async (t) => {
    await using scope = new Scope();
    const { program, tunnel } = await startTunnel(scope, '', {});
    process.kill(program.pid, 'SIGTERM');
    assert.equal(await textOf(tunnel), '');
    proof.lost(t, 1);
  });
});

test('a listener that was not given, and feeds a server that was, is in the report as a doubt', async () => {
  await using scope = new Scope();
  const program = scope.use(startService('lifecycle/fed-service', { args: ['front', '0', 'lastCall'] }));
  const { port = 0 } = await program.next('listening');
  const client = scope.use(await RawHttpClient.connect(port));
  client.endAfterServer();
  client.send(get('/'));
  await program.next('holds');
  process.kill(program.pid, 'SIGTERM');
  await program.next('state');
  process.kill(program.pid, 'SIGUSR2');
  await client.ended;
  assert.deepEqual(client.responses, [{ body: 'served', close: true }]);
  const { code, stderr } = await program.ended;
  const doubt = `127.0.0.1:${port} still listens, and hands its connections to this service, which was not given it`;
  assert.equal(code, 0);
  assert.ok(stderr.includes(doubt), stderr);
});

/** A program that has a request which came to it through a tunnel; `tunnel` is the client's end. */
async function startTunnel(
  scope: Scope,
  calls: string,
  options: ServiceOptions,
): Promise<{ program: Program; tunnel: net.Socket }> {
  const entrance = scope.use(await listen(net.createServer({ allowHalfOpen: true })));
  const connected = once(entrance, 'connection');
  const args = ['tunnel', String(portOf(entrance)), calls];
  const program = scope.use(startService('lifecycle/fed-service', { ...options, args }));
  const [tunnel]: net.Socket[] = await within('the connection of the program', connected);
  if (tunnel === undefined) throw new Error('no connection');
  tunnel.on('error', () => {}).on('end', () => tunnel.end());
  tunnel.write(get('/'));
  await program.next('holds');
  return { program, tunnel };
}

async function textOf(socket: net.Socket): Promise<string> {
  let text = '';
  try {
    for await (const chunk of socket) text += String(chunk);
  } catch {
    // A reset.
  }
  return text;
}
