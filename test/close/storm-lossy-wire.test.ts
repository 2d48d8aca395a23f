import { suite, test } from 'node:test';
import { count } from '../harness/counts.ts';
import { prove } from '../harness/proof.ts';
import { labMissing } from '../lab/lab.ts';
import { checkHalfOpen, checkLost, checkNobodyLost, stopOverTheWire } from './storm-stops.ts';

suite('a server over the wire, 25 ms one way, that loses 5 % of the packets each way', { skip: labMissing }, () => {
  const proof = prove('300 clients over 25 ms one way, with 5 % loss each way');

  test('300 clients: nobody is lost in any stop', async (t) => {
    for (let stop = 1; stop <= count(20); stop++) {
      const stopped = await stopOverTheWire('graceful', 0.05, stop);
      checkNobodyLost(t, proof, stopped);
      checkHalfOpen(stopped);
    }
  });

  test('control: a plain close loses clients', async (t) => {
    checkLost(t, proof, await stopOverTheWire('plain', 0.05, 1));
  });
});
