import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test } from 'node:test';
import { duplicate, inodeOf } from '../../src/linux/descriptors.ts';
import { requireLibc } from '../../src/linux/libc.ts';
import { openListener } from '../../src/linux/open-listener.ts';
import { isSeenToAccept } from '../../src/linux/process/accepting.ts';
import { localAddress } from '../../src/linux/sockets.ts';
import { needsPrograms } from '../harness/needs.ts';
import { fixture, startCommand, type TestProcess } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { until } from '../harness/wait.ts';

const PYTHON = '/usr/bin/python3';

interface Shared {
  readonly fd: number;
  readonly port: number;
  /** Whether the process that holds it, too, has been seen to accept. */
  readonly isSeen: () => boolean;
  readonly holder: TestProcess;
}

/** A listener, and a process that has it as descriptor 3. */
function share(scope: Scope, line: readonly string[]): Shared {
  const fd = openListener({ family: 'IPv4', address: '127.0.0.1', port: 0 }, 16);
  scope.defer(() => requireLibc().close(fd));
  const address = localAddress(fd);
  assert.ok(address !== undefined && address.family !== 'Unix');
  const holder = scope.use(startCommand(line, { stdio: ['pipe', 'pipe', 'pipe', fd] }));
  const listener = { inode: inodeOf(fd), address };
  return { fd, port: address.port, holder, isSeen: () => isSeenToAccept(holder.pid, listener) };
}

suite('a process is seen to accept', () => {
  test('where it waits for clients by epoll', async () => {
    await using scope = new Scope();
    const { holder, isSeen } = share(scope, [process.execPath, fixture('sharing/share-by-descriptor')]);
    await holder.prints(/listening/);
    // Node says so before it waits in epoll for the first time.
    await until('it waits by epoll', isSeen);
  });

  test('where it stands in accept', { skip: needsPrograms(PYTHON) }, async () => {
    await using scope = new Scope();
    const { isSeen } = share(scope, [PYTHON, '-c', 'import socket; socket.socket(fileno=3).accept()']);
    await until('it stands in accept', isSeen);
  });

  test('where it has a client, even if it waits by select', { skip: needsPrograms(PYTHON) }, async () => {
    await using scope = new Scope();
    const script = `import socket, select
s = socket.socket(fileno=3)
print('up', flush=True)
select.select([s], [], [])
c, _ = s.accept()
print('served', flush=True)
select.select([c], [], [])`;
    const { holder, isSeen, port } = share(scope, [PYTHON, '-c', script]);
    await holder.prints(/up/);
    assert.equal(isSeen(), false);
    const client = net.connect(port, '127.0.0.1');
    scope.defer(() => client.destroy());
    await once(client, 'connect');
    await holder.prints(/served/);
    assert.equal(isSeen(), true);
  });

  test('but not where it only holds the descriptor, as a shell or `lastcall run` does', async () => {
    await using scope = new Scope();
    const { holder, isSeen, fd } = share(scope, ['/bin/sh', '-c', 'echo up; read -r _']);
    await holder.prints(/up/);
    assert.equal(isSeen(), false);
    // Nor where this process does.
    const copy = duplicate(fd);
    scope.defer(() => requireLibc().close(copy));
    assert.equal(
      isSeenToAccept(process.pid, { inode: inodeOf(copy), address: localAddress(copy) ?? assert.fail() }),
      false,
    );
  });
});
