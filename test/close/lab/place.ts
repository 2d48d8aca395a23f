import assert from 'node:assert/strict';
import { arrived, connect, NOTHING_MORE, type Placed, ruleForNext, type Scene } from './scene.ts';

// Ways to bring one client to an exact place in its handshake.

/** Its SYN is on its way when the gate shuts. */
export async function beforeSyn(scene: Scene): Promise<Placed> {
  const held = await ruleForNext(scene, { direction: 'to server', packet: 'SYN', count: Infinity, action: 'hold' });
  const connection = connect(scene, { localPort: held.localPort, send: 'request' });
  await held.rule.next();
  return { connection, goOn: () => held.rule.remove() };
}

/** Its SYN-ACK is on its way. */
export async function beforeSynAck(scene: Scene): Promise<Placed> {
  const held = await ruleForNext(scene, { direction: 'to client', packet: 'SYN-ACK', count: Infinity, action: 'hold' });
  const connection = connect(scene, { localPort: held.localPort, send: 'request' });
  await held.rule.next();
  return { connection, goOn: () => held.rule.remove() };
}

/** Its first SYN-ACK was lost. */
export async function synAckLost(scene: Scene): Promise<Placed> {
  const lost = await ruleForNext(scene, { direction: 'to client', packet: 'SYN-ACK', action: 'drop' });
  const connection = connect(scene, { localPort: lost.localPort, send: 'request' });
  await lost.rule.next();
  return { connection, goOn: NOTHING_MORE };
}

/** Its SYN-ACK was lost when the gate shut, and is lost again until the client has asked for the third time. */
export async function synAckLostAgain(scene: Scene): Promise<Placed> {
  const lost = await ruleForNext(scene, { direction: 'to client', packet: 'SYN-ACK', count: Infinity, action: 'drop' });
  const { localPort: clientPort } = lost;
  const third = await scene.lab.wire.rule({
    direction: 'to server',
    packet: 'SYN',
    clientPort,
    from: 3,
    action: 'hold',
  });
  const connection = connect(scene, { localPort: clientPort, send: 'request' });
  await lost.rule.next();
  return {
    connection,
    goOn: async () => {
      // A plain close leaves nobody who would send it again: the client is refused at its second SYN.
      if (scene.how === 'plain') return;
      await third.next();
      await lost.rule.remove();
      assert.ok(lost.rule.acted >= 2, `${lost.rule.acted} SYN-ACKs were lost`);
      await third.release();
    },
  };
}

/** Connected; the server does not know, because the final ACK was lost. It says nothing until the server has accepted it. */
export async function finalAckLost(scene: Scene): Promise<Placed> {
  const lost = await ruleForNext(scene, { direction: 'to server', packet: 'final ACK', action: 'drop' });
  const connection = connect(scene, { localPort: lost.localPort });
  await lost.rule.next();
  assert.equal(await connection.connected, 'connected');
  return {
    connection,
    goOn: async () => {
      if (scene.how === 'graceful') await scene.server.next('accepted');
      connection.send('request');
    },
  };
}

/** Connected; the final ACK is on its way until the server has sent its SYN-ACK again, a second later. */
export async function finalAckLate(scene: Scene): Promise<Placed> {
  const held = await ruleForNext(scene, {
    direction: 'to server',
    packet: 'final ACK',
    count: Infinity,
    action: 'hold',
  });
  const { localPort: clientPort } = held;
  const repeated = await scene.lab.wire.rule({
    direction: 'to client',
    packet: 'SYN-ACK',
    clientPort,
    from: 2,
    action: 'report',
  });
  const connection = connect(scene, { localPort: clientPort });
  await held.rule.next();
  assert.equal(await connection.connected, 'connected');
  return {
    connection,
    goOn: async () => {
      if (scene.how === 'graceful') await repeated.next();
      await held.rule.remove();
      if (scene.how === 'graceful') await scene.server.next('accepted');
      connection.send('request');
    },
  };
}

/** Connected; the final ACK is on its way when the gate shuts, and arrives then. */
export async function halfOpen(scene: Scene, host: string = scene.host): Promise<Placed> {
  const held = await ruleForNext(scene, {
    direction: 'to server',
    packet: 'final ACK',
    count: Infinity,
    action: 'hold',
  });
  const connection = connect(scene, { localPort: held.localPort, host });
  await held.rule.next();
  assert.equal(await connection.connected, 'connected');
  return {
    connection,
    goOn: async () => {
      await held.rule.remove();
      connection.send('request');
    },
  };
}

/** In the accept queue, silent. */
export async function queued(scene: Scene): Promise<Placed> {
  const finalAck = await ruleForNext(scene, { direction: 'to server', packet: 'final ACK', action: 'report' });
  const connection = connect(scene, { localPort: finalAck.localPort });
  await arrived(scene, finalAck.rule);
  return {
    connection,
    goOn: () => {
      connection.send('request');
      return Promise.resolve();
    },
  };
}

/** In the accept queue with its request. */
export async function queuedWithRequest(scene: Scene, host: string = scene.host): Promise<Placed> {
  const data = await ruleForNext(scene, { direction: 'to server', packet: 'data', action: 'report' });
  const connection = connect(scene, { localPort: data.localPort, send: 'request', host });
  await arrived(scene, data.rule);
  return { connection, goOn: NOTHING_MORE };
}

/** In the accept queue with its request and its FIN: it only listens any more. */
export async function queuedAndEnded(scene: Scene): Promise<Placed> {
  const { connection } = await queuedWithRequest(scene);
  const clientPort = connection.localPort;
  assert.ok(clientPort);
  const fin = await scene.lab.wire.rule({ direction: 'to server', packet: 'FIN', clientPort, action: 'report' });
  connection.end();
  await arrived(scene, fin);
  return { connection, goOn: NOTHING_MORE };
}

/** In the accept queue with its request, and gone: its RST is there too. */
export async function queuedAndReset(scene: Scene): Promise<Placed> {
  const { connection } = await queuedWithRequest(scene);
  const clientPort = connection.localPort;
  assert.ok(clientPort);
  const reset = await scene.lab.wire.rule({ direction: 'to server', packet: 'RST', clientPort, action: 'report' });
  connection.reset();
  await arrived(scene, reset);
  return { connection, goOn: NOTHING_MORE };
}
