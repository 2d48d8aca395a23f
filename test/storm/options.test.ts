import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkStormOptions, type StormOptions } from '../../src/storm/options.ts';

const GOOD: StormOptions = { target: { host: '127.0.0.1', port: 80 }, clients: 1 };

const WRONG: readonly (readonly [object, string])[] = [
  [{ target: undefined }, 'Expected `target` to be a host and port, or a path, got `undefined`'],
  [{ target: { host: 'localhost', port: 80 } }, 'Expected `target.host` to be an IP address, got `localhost`'],
  [{ target: { host: '::1', port: 0 } }, 'Expected `target.port` to be a positive integer, got `0`'],
  [{ target: { path: '' } }, 'Expected `target.path` to be a path, got ``'],
  [{ clients: 'x' }, 'Expected `clients` to be a positive integer, got `x`'],
  [{ clients: 1e9 }, 'Expected `clients` to be a positive integer of at most 60000, got `1000000000`'],
  [{ keepAlive: 1 }, 'Expected `keepAlive` to be a boolean, got `1`'],
  [{ pipeline: 3 }, 'Expected `pipeline` to be 1 where connections are not kept, got `3`'],
  [{ pipeline: 0, keepAlive: true }, 'Expected `pipeline` to be a positive integer, got `0`'],
  [{ thinkTime: [5, 1] }, 'Expected `thinkTime` to be two ascending numbers of ms, got an array'],
  [{ timeout: 0 }, 'Expected `timeout` to be a positive integer, got `0`'],
  [{ duration: Number.NaN }, 'Expected `duration` to be a positive integer, got `NaN`'],
  [{ requests: 1.5 }, 'Expected `requests` to be a positive integer, got `1.5`'],
  [{ afterRefusal: 'wait' }, "Expected `afterRefusal` to be 'stop' or a number of ms, got `wait`"],
  [{ afterRefusal: -1 }, 'Expected `afterRefusal` to be a non-negative integer, got `-1`'],
  [{ request: 'GET /' }, 'Expected `request` to be a Uint8Array with bytes, got `GET /`'],
  [{ localAddresses: ['here'] }, 'Expected `localAddresses` to be an array of IP addresses, got an array'],
];

describe('the options of a storm', () => {
  for (const [wrong, message] of WRONG) {
    it(message, () => {
      // Object.assign, since the wrong ones would not compile.
      assert.throws(() => checkStormOptions(Object.assign({ ...GOOD }, wrong)), { code: 'ERR_OPTION', message });
    });
  }

  it('have defaults', () => {
    const { request, ...others } = checkStormOptions(GOOD);
    assert.equal(Buffer.from(request).toString(), 'GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nConnection: close\r\n\r\n');
    assert.deepEqual(others, {
      ...GOOD,
      keepAlive: false,
      pipeline: 1,
      thinkTime: [0, 0],
      timeout: 10_000,
      duration: 10_000,
      requests: 1_000_000,
      afterRefusal: 'stop',
      localAddresses: [],
      seed: 1,
    });
  });

  it('request a connection that stays open with keepAlive', () => {
    const { request } = checkStormOptions({ target: { host: '::1', port: 80 }, clients: 1, keepAlive: true });
    assert.equal(Buffer.from(request).toString(), 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n');
  });
});
