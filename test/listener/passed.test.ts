import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPassedBySupervisor, takePassed } from '../../src/listener/listen-fds.ts';

test('descriptors count as passed by a supervisor also when the variables have been taken away', () => {
  Object.assign(process.env, { LISTEN_FDS: '2', LISTEN_FDNAMES: 'web', LISTEN_PID: '7', LISTEN_PIDFDID: '99' });
  const passed = (): readonly boolean[] => [2, 3, 4, 5].map(isPassedBySupervisor);
  assert.deepEqual(passed(), [false, true, true, false]);
  const descriptors = [
    { fd: 3, name: 'web' },
    { fd: 4, name: 'unknown' },
  ];
  assert.deepEqual(takePassed(), { pid: '7', processId: '99', descriptors });
  const { LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID, LISTEN_PIDFDID } = process.env;
  assert.deepEqual(
    { LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID, LISTEN_PIDFDID },
    { LISTEN_FDS: undefined, LISTEN_FDNAMES: undefined, LISTEN_PID: undefined, LISTEN_PIDFDID: undefined },
  );
  assert.deepEqual(passed(), [false, true, true, false]);
  assert.deepEqual(takePassed(), { pid: undefined, processId: undefined, descriptors: [] });
});
