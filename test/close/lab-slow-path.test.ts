import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labMissing } from '../lab/lab.ts';
import { arrived, connect, openScene, openScenery, ruleForNext, SERVED } from './lab/scene.ts';

// One way, in milliseconds. The client's first time-out is three round trips then, 900 ms: what it says first and loses
// twice comes after 2.7 s, which is longer than the default of `idleWait`.
const DELAY = 150;

for (const { title, idleWait, outcome } of [
  { title: 'a client on a slow path that loses its first words twice is served', idleWait: 2_000, outcome: SERVED },
  {
    title: 'control: with a shorter idleWait it is ended before they come',
    idleWait: 200,
    outcome: { received: '', ended: 'EOF' },
  },
]) {
  test(title, { skip: labMissing, timeout: 30_000 }, async ({ signal }) => {
    await using scenery = await openScenery(signal);
    await scenery.lab.wire.shape({ delay: DELAY });
    const scene = await openScene(scenery, 'graceful');
    const lost = await scene.server.shutAfter({ how: 'graceful', options: { idleWait } }, async () => {
      const finalAck = await ruleForNext(scene, { direction: 'to server', packet: 'final ACK', action: 'report' });
      const { localPort: clientPort } = finalAck;
      const words = await scene.lab.wire.rule({
        direction: 'to server',
        packet: 'data',
        clientPort,
        count: 2,
        action: 'drop',
      });
      const connection = connect(scene, { localPort: clientPort, send: 'request' });
      await arrived(scene, finalAck.rule);
      return { connection, words };
    });
    assert.deepEqual(await lost.connection.closed, outcome);
    assert.ok(lost.words.acted >= 1);
    const { report } = await scene.server.next('report');
    assert.deepEqual([report.outcome, report.connections.fromQueues], ['complete', 1]);
  });
}

for (const { title, losses, outcome } of [
  {
    title: 'a client that gets its SYN-ACK late and loses its first words three times is served',
    losses: 3,
    outcome: SERVED,
  },
  {
    title: 'control: where they are lost again and again it is ended in the end',
    losses: 100,
    outcome: { received: '', ended: 'EOF' },
  },
]) {
  test(title, { skip: labMissing, timeout: 60_000 }, async ({ signal }) => {
    await using scenery = await openScenery(signal);
    const scene = await openScene(scenery, 'graceful');
    const lost = await scene.server.shutAfter({ how: 'graceful' }, async () => {
      const synAck = await ruleForNext(scene, { direction: 'to client', packet: 'SYN-ACK', count: 1, action: 'drop' });
      const { localPort: clientPort } = synAck;
      const finalAck = await scene.lab.wire.rule({
        direction: 'to server',
        packet: 'final ACK',
        clientPort,
        action: 'report',
      });
      const words = await scene.lab.wire.rule({
        direction: 'to server',
        packet: 'data',
        clientPort,
        count: losses,
        action: 'drop',
      });
      const connection = connect(scene, { localPort: clientPort, send: 'request' });
      await arrived(scene, finalAck);
      return { connection, synAck: synAck.rule, words };
    });
    assert.deepEqual(await lost.connection.closed, outcome);
    assert.ok(lost.synAck.acted === 1 && lost.words.acted >= 3);
    const { report } = await scene.server.next('report');
    assert.deepEqual([report.outcome, report.connections.fromQueues], ['complete', 1]);
  });
}
