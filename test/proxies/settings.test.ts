import { suite, test } from 'node:test';
import { haproxy, haproxyWithoutRedispatch, haproxyWithRareChecks } from './haproxy.ts';
import { PROGRAMS } from './load.ts';
import { nginx, nginxWithItsMaxFails } from './nginx.ts';
import { assertErrors, assertNoError } from './outcome.ts';
import { missing } from './proxy.ts';
import { restartBoth, stopUnderLoad } from './stop-behind.ts';

// A refused client is no lost one, but a proxy has to know where to go: these settings decide it.

suite('option redispatch of HAProxy', { skip: missing(haproxy.program, ...PROGRAMS, 'setpriv') }, () => {
  test('leads requests past an instance that is closed gracefully', async (t) => {
    assertNoError(t, await stopUnderLoad(t, haproxyWithRareChecks, 'graceful'));
  });

  test('control: without it clients see errors', async (t) => {
    assertErrors(t, await stopUnderLoad(t, haproxyWithoutRedispatch, 'graceful'));
  });
});

suite('max_fails=0 of nginx', { skip: missing(nginx.program, ...PROGRAMS, 'setpriv') }, () => {
  test('leads requests to an instance as soon as it listens again, when the other one is restarted then', async (t) => {
    assertNoError(t, await restartBoth(t, nginx, 'listens'));
  });

  test('control: with the default clients see errors, for both have refused within 10 s', async (t) => {
    assertErrors(t, await restartBoth(t, nginxWithItsMaxFails, 'listens'));
  });
});
