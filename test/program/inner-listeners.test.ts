import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { isInner } from '../../src/program/gate/inner-listeners.ts';
import type { HeldListener } from '../../src/program/find/find-listeners.ts';
import type { SocketAddress } from '../../src/linux/sockets.ts';
import { reportOf } from '../cli/stop-to-the-end.ts';
import { startLastcall, TO_GATE } from '../harness/lastcall-command.ts';
import { freePort, untilAccepted } from '../harness/ports.ts';
import { fixture, startCommand } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { countUnserved, queueClients, tally } from './queued-clients.ts';

const CLIENTS = 20;
const HOST = '127.0.0.1';

suite('a proxy and its backend, two processes of one program', () => {
  const proof = prove('clients in the queue of a proxy whose backend is a process of the same program');

  /** Stops the program, or its backend alone, while the clients wait in the queue of the proxy. */
  async function stopWithQueue(scope: Scope, which: 'program' | 'backend') {
    const [port, inner] = [await freePort(), await freePort()];
    const line = [process.execPath, fixture('program/proxy-and-backend'), String(port), String(inner)];
    const program = scope.use(startCommand(line));
    const [, backend = ''] = await program.prints(/^backend (\d+)$/m);
    await program.hold();
    const clients = scope.use(await queueClients(CLIENTS, { port, host: HOST }));
    const pid = which === 'program' ? String(program.pid) : backend;
    const stopping = scope.use(startLastcall(['stop', pid, '--json', ...TO_GATE]));
    await untilAccepted({ port: which === 'program' ? port : inner, host: HOST }, false);
    program.goOn();
    return { port, inner, outcomes: await clients.outcomes, ended: await stopping.ended };
  }

  test('are stopped from the outside inwards: who waits at the proxy is still served by the backend', async (t) => {
    await using scope = new Scope();
    const { port, inner, outcomes, ended } = await stopWithQueue(scope, 'program');
    assert.deepEqual(tally(outcomes), { served: CLIENTS });
    const { outcome, listeners } = reportOf(ended);
    const [outerOne, innerOne] = [port, inner].map((one) =>
      listeners.find(({ address }) => address.endsWith(`:${one}`)),
    );
    assert.deepEqual(
      { outcome, gates: [outerOne?.gate, innerOne?.gate], left: [outerOne?.left, innerOne?.left] },
      { outcome: 'complete', gates: ['refuse', 'refuse'], left: [0, 0] },
      ended.stderr,
    );
    assert.ok(Number(outerOne?.queued) >= CLIENTS);
    assert.ok(Number(innerOne?.shutAfter) > Number(outerOne?.shutAfter));
    proof.held(t, { queued: outerOne?.queued });
  });

  test('control: where the gate of the backend shuts first, the proxy has no answer for them', async (t) => {
    await using scope = new Scope();
    const { outcomes } = await stopWithQueue(scope, 'backend');
    proof.lost(t, countUnserved(outcomes));
  });
});

const listener = (address: SocketAddress, ...pids: readonly number[]): HeldListener =>
  ({ socket: { address }, holders: pids.map((pid) => ({ pid, fd: 3 })) }) as unknown as HeldListener;
const at = (address: string, port: number): SocketAddress => ({
  family: address.includes(':') ? 'IPv6' : 'IPv4',
  address,
  port,
});

for (const [title, address, others, expected] of [
  [
    'at loopback, beside another process at all addresses',
    at('127.0.0.1', 9_000),
    [listener(at('0.0.0.0', 80), 1)],
    true,
  ],
  ['at loopback of IPv6', at('::1', 9_000), [listener(at('::', 80), 1)], true],
  ['at a Unix path', { family: 'Unix', path: '/run/php.sock' } as const, [listener(at('0.0.0.0', 80), 1)], true],
  ['of the process that also listens outside', at('127.0.0.1', 9_000), [listener(at('0.0.0.0', 80), 2)], false],
  ['beside others at loopback alone', at('127.0.0.1', 9_000), [listener(at('127.0.0.1', 80), 1)], false],
  ['at all addresses', at('0.0.0.0', 9_000), [listener(at('0.0.0.0', 80), 1)], false],
] as const) {
  test(`a listener ${title} is ${expected ? 'inner' : 'not inner'}`, () => {
    const held = listener(address, 2);
    assert.equal(isInner(held, [held, ...others]), expected);
  });
}
