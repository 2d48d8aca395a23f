import { suite, test } from 'node:test';
import { count } from '../harness/counts.ts';
import { prove } from '../harness/proof.ts';
import { checkDeep, checkNobodyLost, checkReset, stopApart } from './storm-stops.ts';

// Most of a stop is the kernel's wait before it sends again what met a full queue: 1 s, then 2, then 4.
suite('a server under a storm of more clients than its queue holds', () => {
  const proof = prove('2000 clients with a new connection for each request, on loopback');

  test('2000 clients with a new connection per request: nobody is lost in any stop', async (t) => {
    for (let stop = 1; stop <= count(20); stop++) {
      const stopped = await stopApart('graceful', 2_000);
      checkNobodyLost(t, proof, stopped);
      checkDeep(stopped);
    }
  });

  test('control: a plain close with 2000 clients resets them', async (t) => {
    checkReset(t, proof, await stopApart('plain', 2_000));
  });
});
