import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Notifier, openNotifier } from '../../src/lifecycle/systemd/sd-notify.ts';
import { openDatagramSender } from '../../src/linux/unix-datagram.ts';
import { makeCopyWithoutKoffi } from '../harness/copy-without-koffi.ts';
import { needsPrograms } from '../harness/needs.ts';
import { observeFixture, Program } from '../harness/observed-program.ts';
import { startCommand } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { ENDED_WELL } from '../harness/start-service.ts';
import { NotifySocket } from './notify-socket.ts';

const KINDS = ['path', 'abstract'] as const;

function openTo(socket: NotifySocket, more: NodeJS.ProcessEnv = {}): Notifier & Disposable {
  const notifier = openNotifier({ NOTIFY_SOCKET: socket.address, ...more });
  assert(notifier !== undefined);
  return Object.assign(notifier, { [Symbol.dispose]: () => notifier.close() });
}

/** Sends until there is no room; returns how much that was. */
function fill(socket: NotifySocket): number {
  const stranger = openDatagramSender(socket.address);
  let sent = 0;
  while (stranger.send('full')) sent += 1;
  stranger.close();
  return sent;
}

/** The warnings of lastcall that an action causes. They come a moment later. */
async function warningsOf(action: () => unknown): Promise<readonly string[]> {
  const warnings: string[] = [];
  const listen = ({ name, message }: Error): void => {
    if (name === 'LastCallWarning') warnings.push(message);
  };
  process.on('warning', listen);
  action();
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', listen);
  return warnings;
}

for (const kind of KINDS) {
  describe(`a service whose manager listens at ${kind === 'path' ? 'a path' : 'an abstract address'}`, () => {
    it('sends the same as systemd-notify when it is ready', { skip: needsPrograms('systemd-notify') }, async () => {
      using socket = new NotifySocket(kind);
      await using program = startCommand(['systemd-notify', '--ready', '--status=serving :8080'], {
        env: { NOTIFY_SOCKET: socket.address },
      });
      const theirs = await socket.next();
      // It waits until its descriptor is closed.
      assert.equal(await socket.next(), 'BARRIER=1');
      const { code, stderr } = await program.ended;
      assert.equal(code, 0, stderr);
      using notifier = openTo(socket);
      notifier.ready('serving :8080');
      assert.equal(theirs, 'READY=1\nSTATUS=serving :8080');
      assert.equal(await socket.next(), theirs);
    });

    it('sends once that it is ready, then that it stops and how far it is, with the time that it needs plus 5 s', () => {
      using socket = new NotifySocket(kind);
      using notifier = openTo(socket);
      notifier.ready('one');
      notifier.ready('two');
      notifier.stopping('draining queues', 60_000);
      notifier.progress('12 connections open', 1_500.25);
      notifier.progress('late', -300);
      notifier.close();
      notifier.progress('closed', 1);
      assert.deepEqual(socket.takeAll(), [
        'READY=1\nSTATUS=one',
        'STATUS=two',
        'STOPPING=1\nSTATUS=draining queues\nEXTEND_TIMEOUT_USEC=65000000',
        'STATUS=12 connections open\nEXTEND_TIMEOUT_USEC=6501000',
        'STATUS=late\nEXTEND_TIMEOUT_USEC=5000000',
      ]);
    });
  });
}

describe('a status', () => {
  it('stays one line, whatever is in it', () => {
    using socket = new NotifySocket('abstract');
    using notifier = openTo(socket);
    notifier.progress('a\nMAINPID=1\r\nb\0c\u{2028}=é', 0);
    assert.deepEqual(socket.takeAll(), ['STATUS=a MAINPID=1 b c\u{2028}=é\nEXTEND_TIMEOUT_USEC=5000000']);
  });

  it('is cut to what a manager reads', () => {
    using socket = new NotifySocket('abstract');
    using notifier = openTo(socket);
    notifier.stopping('€'.repeat(10_000), 1_000);
    assert.deepEqual(socket.takeAll(), [`STOPPING=1\nSTATUS=${'€'.repeat(1_000)}\nEXTEND_TIMEOUT_USEC=6000000`]);
  });
});

describe('a manager that does not read', () => {
  it('delays nothing, and gets READY when it reads again', async () => {
    using socket = new NotifySocket('path');
    const sent = fill(socket);
    using notifier = openTo(socket);
    const warnings = await warningsOf(() => {
      notifier.ready('one');
      notifier.ready('two');
      notifier.stopping('three', 0);
    });
    assert.deepEqual(warnings, []);
    assert.deepEqual(socket.takeAll(), Array(sent).fill('full'));
    assert.equal(await socket.next(), 'READY=1\nSTATUS=three\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=5000000');
  });

  it('gets with the next message what it had no room for, and only once', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using socket = new NotifySocket('path');
    using notifier = openTo(socket);
    fill(socket);
    notifier.ready('one');
    socket.takeAll();
    notifier.ready('two');
    assert.deepEqual(socket.takeAll(), ['READY=1\nSTATUS=two']);
    t.mock.timers.tick(60_000);
    assert.deepEqual(socket.takeAll(), []);
  });

  it('gets nothing after the notifier is closed', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    using socket = new NotifySocket('path');
    using closed = openTo(socket);
    using open = openTo(socket);
    const sent = fill(socket);
    closed.ready('closed');
    open.ready('open');
    closed.close();
    assert.deepEqual(socket.takeAll(), Array(sent).fill('full'));
    t.mock.timers.tick(60_000);
    assert.deepEqual(socket.takeAll(), ['READY=1\nSTATUS=open']);
  });
});

describe('a manager that has gone', () => {
  it('causes one warning, and ends nothing', async () => {
    using socket = new NotifySocket('path');
    using notifier = openTo(socket);
    notifier.ready('one');
    socket.close();
    const warnings = await warningsOf(() => {
      notifier.progress('two', 0);
      notifier.progress('three', 0);
    });
    assert.deepEqual(warnings, ['Nothing can be sent to the service manager: sendto: ECONNREFUSED']);
  });
});

describe('the environment', () => {
  it('leaves no variables to child processes, usable or not', async () => {
    using socket = new NotifySocket('path');
    for (const address of [socket.address, 'nowhere']) {
      const env: NodeJS.ProcessEnv = {
        NOTIFY_SOCKET: address,
        WATCHDOG_USEC: '9000000',
        WATCHDOG_PID: '1',
        OTHER: '1',
      };
      await warningsOf(() => openNotifier(env)?.close());
      assert.deepEqual(env, { OTHER: '1' });
    }
  });

  for (const env of [{}, { NOTIFY_SOCKET: '' }, { WATCHDOG_USEC: '2000000' }]) {
    it(`without a manager causes no warning: ${JSON.stringify(env)}`, async () => {
      assert.deepEqual(await warningsOf(() => assert.equal(openNotifier(env), undefined)), []);
    });
  }

  const UNUSABLE: readonly (readonly [string, RegExp])[] = [
    ['run/notify', /neither a path from the root nor an abstract name/],
    ['vsock:2:1234', /neither a path from the root nor an abstract name/],
    ['@', /no name/],
    ['/', /no name/],
    [`/${'n'.repeat(107)}`, /longer than the 108 bytes/],
    [`@${'n'.repeat(108)}`, /longer than the 108 bytes/],
    [`/${'é'.repeat(54)}`, /longer than the 108 bytes/],
    ['/run/\0', /a NUL/],
  ];
  for (const [address, reason] of UNUSABLE) {
    it(`with an address that is not possible causes one warning: ${JSON.stringify(address).slice(0, 20)}`, async () => {
      const warnings = await warningsOf(() => assert.equal(openNotifier({ NOTIFY_SOCKET: address }), undefined));
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, reason);
    });
  }

  it('may have an address of the greatest length', async () => {
    for (const address of [`/${'n'.repeat(106)}`, `@${'n'.repeat(107)}`]) {
      assert.deepEqual(
        await warningsOf(() => {
          const notifier = openNotifier({ NOTIFY_SOCKET: address });
          assert(notifier !== undefined, address);
          notifier.close();
        }),
        [],
      );
    }
  });

  it('without system calls causes a warning, since nothing can be sent', async () => {
    using socket = new NotifySocket('path');
    using copy = makeCopyWithoutKoffi('lifecycle/notify-service');
    await using service = new Program(copy.program, {
      env: { NODE_PATH: '', NOTIFY_SOCKET: socket.address },
      args: ['leave'],
    });
    assert.deepEqual((await service.next('opened')).facts, { left: [] });
    const { code, stderr } = await service.ended;
    assert.equal(code, 0);
    assert.match(stderr, /LastCallWarning: NOTIFY_SOCKET is ".*", which cannot be used: koffi did not load/);
    assert.deepEqual(socket.takeAll(), []);
  });

  for (const value of ['', '0', '1999', '-1', '1e6', '0x10000', ' 2000000', '2000000s', '18446744073709551615']) {
    it(`with a WATCHDOG_USEC of ${JSON.stringify(value)} causes one warning, and the state is sent all the same`, async () => {
      using socket = new NotifySocket('abstract');
      await using scope = new Scope();
      const warnings = await warningsOf(() => scope.use(openTo(socket, { WATCHDOG_USEC: value })).ready('serving'));
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, /^WATCHDOG_USEC is ".*", expected microseconds from 2000 on/);
      assert.deepEqual(socket.takeAll(), ['READY=1\nSTATUS=serving']);
    });
  }
});

describe('the watchdog', () => {
  interface Service extends AsyncDisposable {
    readonly socket: NotifySocket;
    readonly program: Program;
  }

  async function startService(env: NodeJS.ProcessEnv = {}): Promise<Service> {
    const socket = new NotifySocket('path');
    const program = observeFixture('lifecycle/notify-service', {
      env: { NOTIFY_SOCKET: socket.address, WATCHDOG_USEC: '40000', ...env },
    });
    assert.deepEqual((await program.next('opened')).facts, { left: [] });
    assert.equal(await socket.next(), 'READY=1\nSTATUS=serving');
    return {
      socket,
      program,
      [Symbol.asyncDispose]: async () => {
        await program[Symbol.asyncDispose]();
        socket[Symbol.dispose]();
      },
    };
  }

  /** Waits for so many messages to the watchdog. */
  async function beats(socket: NotifySocket, times: number): Promise<void> {
    for (let beat = 0; beat < times; beat += 1) assert.equal(await socket.next(), 'WATCHDOG=1');
  }

  it('gets messages while the event loop turns, none while the loop is blocked, and again after that', async () => {
    await using held = await startService();
    await using other = await startService();
    await beats(held.socket, 5);
    held.program.order('block');
    await held.program.next('stands still');
    held.socket.takeAll();
    other.socket.takeAll();
    await beats(other.socket, 10);
    assert.deepEqual(held.socket.takeAll(), []);
    held.program.order('go on');
    await held.program.next('goes on');
    await beats(held.socket, 5);
  });

  it('gets nothing after the notifier is closed', async () => {
    await using closed = await startService();
    await using other = await startService();
    await beats(closed.socket, 5);
    closed.program.order('close');
    await closed.program.next('goes on');
    closed.socket.takeAll();
    other.socket.takeAll();
    await beats(other.socket, 10);
    assert.deepEqual(closed.socket.takeAll(), []);
  });

  it('gets nothing from a process that is not the watched one', async () => {
    await using unwatched = await startService({ WATCHDOG_PID: '1' });
    await using other = await startService();
    await beats(other.socket, 10);
    assert.deepEqual(unwatched.socket.takeAll(), []);
  });

  it('gets messages from the process that WATCHDOG_PID names', async () => {
    using socket = new NotifySocket('path');
    using notifier = openTo(socket, { WATCHDOG_USEC: '40000', WATCHDOG_PID: String(process.pid) });
    notifier.ready('serving');
    assert.equal(await socket.next(), 'READY=1\nSTATUS=serving');
    await beats(socket, 2);
  });

  it('gets a message in each half of its time', async () => {
    using socket = new NotifySocket('path');
    const began = performance.now();
    using notifier = openTo(socket, { WATCHDOG_USEC: '200000' });
    notifier.ready('serving');
    assert.equal(await socket.next(), 'READY=1\nSTATUS=serving');
    await beats(socket, 3);
    // A timer is never early by more than the millisecond to which Node rounds.
    assert(performance.now() - began >= 3 * 100 - 3, 'sent too often');
  });

  it('keeps no process alive that has nothing else to do', async () => {
    using socket = new NotifySocket('path');
    await using program = observeFixture('lifecycle/notify-service', {
      env: { NOTIFY_SOCKET: socket.address, WATCHDOG_USEC: '40000' },
      args: ['leave'],
    });
    assert.deepEqual(await program.ended, ENDED_WELL);
    assert.equal(await socket.next(), 'READY=1\nSTATUS=serving');
  });
});
