import { suite, test } from 'node:test';
import { count } from '../harness/counts.ts';
import { prove } from '../harness/proof.ts';
import { labMissing } from '../lab/lab.ts';
import {
  checkDeep,
  checkHalfOpen,
  checkLost,
  checkNobodyLost,
  checkReset,
  stopApart,
  stopOverTheWire,
} from './storm-stops.ts';

suite('a server under a storm, on loopback', () => {
  const proof = prove('300 clients with a new connection for each request, on loopback');

  test('300 clients with a new connection per request: nobody is lost in any stop', async (t) => {
    for (let stop = 1; stop <= count(20, 1); stop++) {
      const stopped = await stopApart('graceful', 300);
      checkNobodyLost(t, proof, stopped);
      checkDeep(stopped);
    }
  });

  test('control: a plain close with 300 clients resets them', async (t) => {
    checkReset(t, proof, await stopApart('plain', 300));
  });
});

suite('a server over the wire, 25 ms one way', { skip: labMissing }, () => {
  const proof = prove('300 clients over 25 ms one way');

  test('300 clients: nobody is lost in any stop', async (t) => {
    for (let stop = 1; stop <= count(20, 1); stop++) {
      const stopped = await stopOverTheWire('graceful', 0, stop);
      checkNobodyLost(t, proof, stopped);
      checkHalfOpen(stopped);
    }
  });

  test('control: a plain close loses clients', async (t) => {
    checkLost(t, proof, await stopOverTheWire('plain', 0, 1));
  });
});
