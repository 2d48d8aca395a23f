import { suite, test } from 'node:test';
import { count } from '../harness/counts.ts';
import { otherNodes } from '../harness/other-nodes.ts';
import { prove } from '../harness/proof.ts';
import { checkNobodyLost, checkReset, stopHere } from './storm-stops.ts';

for (const { title, path: node, missing } of otherNodes) {
  suite(`a server under a storm, on ${title}`, { skip: missing }, () => {
    const proof = prove(`300 clients with a new connection for each request, on ${title}`);

    test('300 clients with a new connection per request: nobody is lost in any stop', async (t) => {
      for (let stop = 1; stop <= count(20); stop++) {
        checkNobodyLost(t, proof, await stopHere('graceful', 300, { node }));
      }
    });

    test('control: a plain close resets them', async (t) => {
      checkReset(t, proof, await stopHere('plain', 300, { node }));
    });
  });
}
