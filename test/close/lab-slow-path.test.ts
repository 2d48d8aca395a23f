import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloseOptions } from '../../src/index.ts';
import { type Proof, prove } from '../harness/proof.ts';
import { labMissing } from '../lab/lab.ts';
import type { Ended } from '../lab/lab-connection.ts';
import { arrived, connect, LAB_TIMEOUT, openScene, openScenery, SERVED } from './lab/scene.ts';
import { nextLocalPort } from '../lab/lab-client.ts';

/** A client whose handshake is complete when the gate shuts, and what the wire has done and will do to it. */
interface Case {
  readonly title: string;
  /** One way, in milliseconds. */
  readonly delay: number;
  readonly synAcksLost: number;
  /** How often what it says first is lost. */
  readonly wordsLost: number;
  readonly proof: Proof;
  readonly options?: CloseOptions;
  readonly outcome: Ended;
  /** Of the report: a host that has seen a loss cannot tell a client who says nothing from one whose words are lost. */
  readonly report?: 'forced';
}

/** The default of `idleWait`, in milliseconds. */
const DEFAULT_IDLE_WAIT = 2_000;

const ENDED_UNHEARD = { received: '', ended: 'EOF' };

// The client's first time-out is three round trips, 900 ms: what it says first and loses twice comes after 2.7 s, which is
// longer than the default of `idleWait`.
const slow = {
  delay: 150,
  synAcksLost: 0,
  wordsLost: 2,
  proof: prove('a client on a slow path that loses its first words twice'),
};
// It takes a round trip for more than a second, and sends for the fourth time 11 round trips after the first.
const late = {
  delay: 10,
  synAcksLost: 1,
  wordsLost: 3,
  proof: prove('a client that gets its SYN-ACK late and loses its first words three times'),
};

const cases: readonly Case[] = [
  { title: 'a client on a slow path that loses its first words twice is served', ...slow, outcome: SERVED },
  {
    title: 'control: with a shorter idleWait it is ended before they come',
    ...slow,
    options: { idleWait: 200 },
    outcome: ENDED_UNHEARD,
  },
  {
    title: 'a client that gets its SYN-ACK late and loses its first words three times is served',
    ...late,
    outcome: SERVED,
  },
  {
    title: 'control: where they are lost again and again it is ended in the end',
    ...late,
    wordsLost: Infinity,
    outcome: ENDED_UNHEARD,
    report: 'forced',
  },
];

for (const { title, delay, synAcksLost, wordsLost, proof, options, outcome, report = 'complete' } of cases) {
  test(title, { skip: labMissing, timeout: LAB_TIMEOUT }, async (t) => {
    await using scenery = await openScenery();
    const { wire } = scenery.lab;
    await wire.shape({ delay });
    const scene = await openScene(scenery, 'graceful');
    const localPort = nextLocalPort();
    const ofClient = { clientPort: localPort };
    const shut = { how: 'graceful', options: { idleWait: DEFAULT_IDLE_WAIT, ...options } } as const;
    const lost = await scene.server.shutAfter(shut, async () => {
      const toServer = { ...ofClient, direction: 'to server' } as const;
      const synAcks =
        synAcksLost === 0
          ? undefined
          : await wire.rule({
              ...ofClient,
              direction: 'to client',
              packet: 'SYN-ACK',
              count: synAcksLost,
              action: 'drop',
            });
      const finalAck = await wire.rule({ ...toServer, packet: 'final ACK', action: 'report' });
      const words = await wire.rule({ ...toServer, packet: 'data', count: wordsLost, action: 'drop' });
      const connection = connect(scene, { localPort, send: 'request' });
      await arrived(scene, finalAck);
      return { connection, synAcks, words };
    });
    assert.deepEqual(await lost.connection.closed, outcome);
    assert.equal(lost.synAcks?.acted ?? 0, synAcksLost);
    assert.ok(lost.words.acted >= 1, 'the first words were lost');
    if (outcome === SERVED) assert.equal(lost.words.acted, wordsLost);
    const told = await scene.server.next('report');
    assert.deepEqual(
      { outcome: told.outcome, fromQueues: told.connections.fromQueues },
      { outcome: report, fromQueues: 1 },
    );
    if (outcome === SERVED) proof.held(t, { 'words lost': lost.words.acted });
    else proof.lost(t, 1);
  });
}
