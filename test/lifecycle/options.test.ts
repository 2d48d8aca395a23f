import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type LastCallErrorCode, lastCall, type LastCallOptions } from '../../src/index.ts';
import { completeLastCallOptions } from '../../src/lifecycle/options/options.ts';
import { stopDefaults } from '../../src/lifecycle/options/platform-defaults.ts';

function rejects(options: unknown, message: RegExp, code: LastCallErrorCode = 'ERR_OPTION'): void {
  assert.throws(() => lastCall([], options as LastCallOptions), { name: 'LastCallError', code, message });
}

suite('the options of lastCall', () => {
  test('are checked at once, each with what was expected and what came', () => {
    rejects(null, /^Expected `options` to be an object, got `null`$/);
    rejects({ lameduck: 1 }, /^Expected `options` to be made of deadline, .*readinessServer, got `lameduck`$/);
    rejects({ deadline: '20s' }, /^Expected `deadline` to be a number of milliseconds .*, got `20s`$/);
    rejects({ lameDuck: -1 }, /^Expected `lameDuck` to be a number of milliseconds/);
    rejects(
      { lameDuck: 100, lameDuckMin: 200 },
      /^Expected `lameDuckMin` to be at most `lameDuck` \(100\), got `200`$/,
    );
    rejects({ quietFor: Number.NaN }, /^Expected `quietFor` to be a number of milliseconds/);
    rejects({ signals: 'SIGTERM' }, /^Expected `signals` to be an array of names of signals/);
    rejects({ signals: ['SIGTERM', 'SIGKILL'] }, /such as `SIGTERM`, got `SIGKILL`$/);
    rejects({ signals: ['TERM'] }, /got `TERM`$/);
    rejects({ onDrained: {} }, /^Expected `onDrained` to be a function, got an object$/);
    rejects({ onLameDuck: 'log' }, /^Expected `onLameDuck` to be a function, got `log`$/);
    rejects({ exit: 1 }, /^Expected `exit` to be `true` or `false`, got `1`$/);
    rejects({ strict: 'yes' }, /^Expected `strict` to be `true` or `false`, got `yes`$/);
    rejects({ readinessServer: 70_000 }, /^Expected `readinessServer` to be a port, .*got `70000`$/);
    rejects(
      { readinessServer: { port: 1, path: '/' } },
      /^Expected `readinessServer` to be made of port, host, got `path`$/,
    );
    rejects({ readinessServer: { port: 1, host: '' } }, /^Expected `readinessServer.host` to be a name or address/);
    // The options of a close are checked now, not at the signal.
    rejects({ idleWait: 'long' }, /^Expected `idleWait`/);
    rejects({ webSocketClose: { code: 1006 } }, /^Expected `webSocketClose.code`/);
  });

  test('are refused for a value that is not a server', () => {
    assert.throws(() => Reflect.apply(lastCall, undefined, [() => {}]), {
      code: 'ERR_SERVER',
      message: /app\.listen\(\)/,
    });
    assert.throws(() => Reflect.apply(lastCall, undefined, [[{ server: 1 }]]), { code: 'ERR_SERVER' });
  });

  test('have defaults for the platform that stops the service', () => {
    assert.deepEqual(stopDefaults({}), { deadline: 9_000, lameDuck: 0, lameDuckMin: 0 });
    const kubernetes = { deadline: 25_000, lameDuck: 10_000, lameDuckMin: 5_000 };
    assert.deepEqual(stopDefaults({ KUBERNETES_SERVICE_HOST: '10.0.0.1', NOTIFY_SOCKET: '/run/x' }), kubernetes);
    const systemd = { deadline: 60_000, lameDuck: 0, lameDuckMin: 0 };
    assert.deepEqual(stopDefaults({ NOTIFY_SOCKET: '@x' }), systemd);
    assert.deepEqual(stopDefaults({ SYSTEMD_EXEC_PID: `${process.pid}` }), systemd);
    // All processes below a terminal that systemd has started inherit it.
    assert.equal(stopDefaults({ SYSTEMD_EXEC_PID: '1' }).deadline, 9_000);
    const { lameDuckMin } = completeLastCallOptions({ lameDuck: 2_000 }, kubernetes);
    assert.equal(lameDuckMin, 2_000, 'a shorter lame duck shortens its least time too');
  });
});
