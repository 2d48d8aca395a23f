import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { prove } from '../harness/proof.ts';
import { startExample } from './example-process.ts';
import { LineClient } from './line-client.ts';

describe('examples/echo, closed with no options', { timeout: 180_000, concurrency: true }, () => {
  const proof = prove('who talks to examples/echo, and says something after its end');

  it('echoes what is said during the close, and ends who has been quiet; what comes after that is still read', async (t) => {
    await using server = startExample('echo');
    const port = await server.port;
    using talker = new LineClient(port);
    using quiet = new LineClient(port);
    using late = new LineClient(port, { staysOpen: true });
    for (const client of [talker, quiet, late]) assert.equal(await client.ask('hello'), 'hello');
    const closing = server.close();
    let hasQuietEnded = false;
    void quiet.ended.then(() => {
      hasQuietEnded = true;
    });
    let [said, saidBefore] = [0, 0];
    // Time is what is tested: the quiet one is ended after 2 s, and the other one talks a few lines longer than that.
    while (said < saidBefore + 5) {
      assert.equal(await talker.ask(`line ${said}`), `line ${said}`);
      said += 1;
      if (!hasQuietEnded) saidBefore = said;
      await sleep(50);
    }
    assert(saidBefore > 5, `the quiet one went after ${saidBefore} lines of the other`);
    assert.equal(await late.next(), undefined);
    late.socket.end('too late\n');
    assert.equal(await talker.next(), undefined);
    const { report, received, echoed } = await closing;
    const { outcome, connections } = report;
    assert.deepEqual(
      { outcome, ended: connections.ended, cut: connections.cut, received, echoed },
      { outcome: 'complete', ended: 3, cut: [], received: said + 4, echoed: said + 3 },
    );
    proof.held(t, { connections: connections.ended });
  });

  it('survives a client that resets', async () => {
    await using server = startExample('echo');
    const port = await server.port;
    using rude = new LineClient(port);
    using other = new LineClient(port);
    for (const client of [rude, other]) assert.equal(await client.ask('hello'), 'hello');
    rude.socket.resetAndDestroy();
    assert.equal(await other.ask('still there?'), 'still there?');
    const closing = server.close();
    // The close need not wait until it is quiet.
    other.socket.end();
    assert.equal((await closing).report.outcome, 'complete');
  });

  it('control: killed, it answers no more, and resets who is talking', async (t) => {
    await using server = startExample('echo');
    using talker = new LineClient(await server.port);
    assert.equal(await talker.ask('hello'), 'hello');
    server.kill();
    await server.ended;
    assert.equal(await talker.ask('anybody?'), undefined);
    proof.lost(t, 1);
  });
});
