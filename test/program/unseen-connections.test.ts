// Clients with a connection of which the kernel shows a stop from outside less than of others: on a Unix socket, and in another
// network namespace.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../harness/folders.ts';
import { needsNamespaces, needsPrograms } from '../harness/needs.ts';
import { startCommand } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { runForeign, type RunUnderLastcall } from './foreign-program-driver.ts';
import { countUnserved, tally } from './queued-clients.ts';

const PYTHON = '/usr/bin/python3';
const CLIENTS = 5;
const PORT = 8080;
/** Longer than a stop waits where nobody is owed an answer, in ms. */
const LONG = 1_500;
const AT_ONCE = ['--queue-wait', '0s'];

/** Clients with a connection each, to a path or a port. Prints each one's outcome. */
const ASK = `
import socket, sys
where = sys.argv[1]
clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX) if where.startswith('/') else socket.socket()
    client.connect(where if where.startswith('/') else ('127.0.0.1', int(where)))
    client.sendall(b'GET / HTTP/1.1\\r\\nHost: program\\r\\n\\r\\n')
    clients.append(client)
for client in clients:
    received = b''
    try:
        while not received.endswith(b'served'):
            piece = client.recv(4096)
            if not piece: break
            received += piece
    except OSError:
        pass
    client.close()
    print('served' if received.endswith(b'served') else 'closed')
`;

/** Signals while all clients wait for an answer, which the program has not begun. */
async function stopWhileOwed(running: RunUnderLastcall, clientLine: readonly string[], waits: boolean) {
  await using clients = startCommand(clientLine);
  await running.prints(new RegExp(`^request ${CLIENTS}$`, 'm'));
  running.signal('SIGTERM');
  if (waits) {
    // The answers take this long: that is what is tested.
    await sleep(LONG);
    process.kill(running.program, 'SIGUSR2');
  }
  const outcomes = (await clients.ended).stdout.trimEnd().split('\n');
  return { outcomes, ...(await running.finished) };
}

suite('connections that a program has accepted on a Unix socket', { skip: needsPrograms(PYTHON) }, () => {
  const proof = prove('clients of a Unix socket that wait for an answer, stopped by lastcall run');

  async function stop(...options: readonly string[]) {
    using folder = makeFolder();
    const path = join(folder.path, 'socket');
    const orders = { listen: [{ path }], atSignal: 'default', answersLate: true };
    await using running = await runForeign(orders, options);
    return await stopWhileOwed(running, [PYTHON, '-c', ASK, path, String(CLIENTS)], options.length === 0);
  }

  test('are answered before a program without a handler gets the signal', async (t) => {
    const { outcomes, report } = await stop();
    assert.deepEqual(tally(outcomes), { served: CLIENTS });
    const { outcome, doubts, connections } = report ?? {};
    assert.deepEqual({ outcome, doubts }, { outcome: 'complete', doubts: [] });
    proof.held(t, { open: connections?.atStart });
  });

  test('control: with a wait of 0 s they are lost, and the report names them as a doubt', async (t) => {
    const { outcomes, report } = await stop(...AT_ONCE);
    const { outcome, doubts } = report ?? {};
    const when = 'when the program, or a part of it, ended: who waited cannot be seen';
    assert.deepEqual(
      { outcome, doubts },
      { outcome: 'forced', doubts: [`${CLIENTS} clients had a connection on a Unix socket ${when}`] },
    );
    proof.lost(t, countUnserved(outcomes));
  });

  test('that have ended before the stop leave no doubt, and lengthen nothing', async () => {
    using folder = makeFolder();
    const path = join(folder.path, 'socket');
    await using running = await runForeign({ listen: [{ path }], atSignal: 'default' });
    await using clients = startCommand([PYTHON, '-c', ASK, path, String(CLIENTS)]);
    await clients.ended;
    running.signal('SIGTERM');
    const { report } = await running.finished;
    const { outcome, doubts, connections } = report ?? {};
    assert.deepEqual({ outcome, doubts, open: connections?.atStart }, { outcome: 'complete', doubts: [], open: 0 });
  });
});

const canMakeHosts = needsNamespaces('--net') || needsPrograms(PYTHON, 'nsenter', 'ip');

suite('connections in another network namespace', { skip: canMakeHosts }, () => {
  const proof = prove('clients in another network namespace that wait for an answer, stopped by lastcall run');

  async function stop(...options: readonly string[]) {
    const below = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
    const orders = { listen: [{ port: PORT, host: '127.0.0.1' }], atSignal: 'default', answersLate: true };
    await using running = await runForeign(orders, options, { below });
    const inside = ['nsenter', `--net=/proc/${running.program}/ns/net`, '--'];
    const line = [...inside, PYTHON, '-c', ASK, String(PORT), String(CLIENTS)];
    return await stopWhileOwed(running, line, options.length === 0);
  }

  test('are answered before a program without a handler gets the signal', async (t) => {
    const { outcomes, report } = await stop();
    assert.deepEqual(tally(outcomes), { served: CLIENTS });
    const { outcome, doubts, connections } = report ?? {};
    assert.deepEqual({ outcome, doubts }, { outcome: 'complete', doubts: [] });
    proof.held(t, { open: connections?.atStart });
  });

  test('control: with a wait of 0 s they are lost, and the report counts each as a doubt', async (t) => {
    const { outcomes, report } = await stop(...AT_ONCE);
    const { outcome, doubts } = report ?? {};
    assert.deepEqual(
      { outcome, doubts },
      {
        outcome: 'forced',
        doubts: [`${CLIENTS} clients waited for an answer when the program, or a part of it, ended`],
      },
    );
    proof.lost(t, countUnserved(outcomes));
  });
});
