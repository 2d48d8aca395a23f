import { suite, test } from 'node:test';
import { needsPrograms } from '../harness/needs.ts';
import { prove } from '../harness/proof.ts';
import { haproxy, haproxyWithoutRedispatch, haproxyWithRareChecks } from './haproxy.ts';
import { PROGRAMS } from './load.ts';
import { nginx, nginxWithItsMaxFails } from './nginx.ts';
import { assertErrors, assertNoError } from './outcome.ts';
import { restartBoth, stopUnderLoad } from './stop-behind.ts';

// A refused client is no lost one, but a proxy has to know where to go: these settings decide it.

suite('option redispatch of HAProxy', { skip: needsPrograms(haproxy.program, ...PROGRAMS, 'setpriv') }, () => {
  const proof = prove('option redispatch leads requests past an instance that refuses them');

  test('leads requests past an instance that is closed gracefully', async (t) => {
    const stopped = await stopUnderLoad(haproxyWithRareChecks, 'graceful');
    assertNoError(t, stopped);
    proof.held(t, { connections: stopped.report?.connections.atStart });
  });

  test('control: without it clients see errors', async (t) => {
    proof.lost(t, assertErrors(t, await stopUnderLoad(haproxyWithoutRedispatch, 'graceful')));
  });
});

suite('max_fails=0 of nginx', { skip: needsPrograms(nginx.program, ...PROGRAMS, 'setpriv') }, () => {
  const proof = prove('max_fails=0 leads requests to an instance as soon as it listens again');

  test('leads requests to an instance as soon as it listens again, when the other one is restarted then', async (t) => {
    const stopped = await restartBoth(nginx, 'listens');
    assertNoError(t, stopped);
    proof.held(t, { requests: stopped.requests });
  });

  test('control: with the default clients see errors, for both have refused within 10 s', async (t) => {
    proof.lost(t, assertErrors(t, await restartBoth(nginxWithItsMaxFails, 'listens')));
  });
});
