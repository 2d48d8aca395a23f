import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { prove } from '../harness/proof.ts';
import { until } from '../harness/wait.ts';
import { type ExampleProcess, startExample } from './example-process.ts';
import { LineClient } from './line-client.ts';
import { SmtpClient, type SmtpOutcome } from './smtp-client.ts';

const CLIENTS = 50;

describe('examples/smtp', { timeout: 180_000, concurrency: true }, () => {
  const proof = prove('the messages that are under way to examples/smtp');

  it(`hears ${CLIENTS} clients out, tells them 421 and awaits their QUIT`, async (t) => {
    await using server = startExample('smtp');
    const { clients, inMessage } = await holdInMessages(server);
    const closing = server.close();
    server.goOn();
    const { report, accepted } = await closing;
    const outcomes = await outcomesOf(clients);
    for (const { cutIn, told, goodbye } of outcomes) {
      assert.deepEqual({ cutIn, told, goodbye }, { cutIn: undefined, told: true, goodbye: '221' });
    }
    assert.deepEqual(
      { sent: total(outcomes, 'sent'), accepted: total(outcomes, 'accepted') },
      { sent: accepted, accepted },
    );
    const { outcome, connections } = report;
    assert.deepEqual(
      { outcome, ended: connections.ended, cut: connections.cut },
      { outcome: 'complete', ended: CLIENTS, cut: [] },
    );
    assert.deepEqual(connections.farewells, { said: CLIENTS, answered: CLIENTS, unanswered: 0 });
    t.diagnostic(`${inMessage} of ${CLIENTS} in a message, ${String(accepted)} messages`);
    proof.held(t, { 'in a message': inMessage });
  });

  it('hears out a client that pauses in the middle of a message for longer than a quiet one may', async () => {
    await using server = startExample('smtp');
    const port = await server.port;
    using slow = new LineClient(port);
    using quiet = new LineClient(port);
    for (const client of [slow, quiet]) assert.match((await client.next()) ?? '', /^220/);
    for (const command of ['MAIL FROM:<a@client.test>', 'RCPT TO:<b@example.test>', 'DATA', 'Subject: slow']) {
      slow.socket.write(`${command}\r\n`);
      if (!command.startsWith('Subject')) assert.match((await slow.next()) ?? '', /^(250|354)/);
    }
    const closing = server.close();
    // Told at once, it says nothing, and is ended once it has been quiet for 2 s.
    assert.match((await quiet.next()) ?? '', /^421/);
    assert.equal(await quiet.ended, 'the end');
    slow.socket.write('\r\nsorry\r\n.\r\n');
    assert.match((await slow.next()) ?? '', /^250/);
    assert.match((await slow.next()) ?? '', /^421/);
    slow.socket.write('QUIT\r\n');
    assert.match((await slow.next()) ?? '', /^221/);
    assert.equal(await slow.ended, 'the end');
    const { report, accepted } = await closing;
    assert.deepEqual(
      { outcome: report.outcome, farewells: report.connections.farewells, accepted },
      { outcome: 'complete', farewells: { said: 2, answered: 1, unanswered: 1 }, accepted: 1 },
    );
  });

  it('control: killed, it cuts messages and tells nobody', async (t) => {
    await using server = startExample('smtp');
    const { clients, inMessage } = await holdInMessages(server);
    server.kill();
    const outcomes = await outcomesOf(clients);
    const cut = outcomes.filter(({ cutIn }) => cutIn !== undefined).length;
    assert.equal(cut, CLIENTS);
    assert.equal(outcomes.filter(({ told }) => told).length, 0);
    t.diagnostic(`${cut} of ${CLIENTS} were cut, ${inMessage} of them after MAIL`);
    proof.lost(t, inMessage);
  });
});

/** Clients that have sent messages, and whose server stands still: each waits for an answer, many in the middle of a message. */
async function holdInMessages(server: ExampleProcess): Promise<{ clients: readonly SmtpClient[]; inMessage: number }> {
  const port = await server.port;
  const clients = Array.from({ length: CLIENTS }, () => new SmtpClient(port));
  await until('each client has sent two messages', () => clients.every(({ accepted }) => accepted >= 2));
  await until('many clients are in a message', () => countInMessage(clients) >= CLIENTS / 2);
  await server.hold();
  await until('each client waits for an answer', () => clients.every(({ waits }) => waits));
  const inMessage = countInMessage(clients);
  assert(inMessage >= 10, `${inMessage} were in a message`);
  return { clients, inMessage };
}

function countInMessage(clients: readonly SmtpClient[]): number {
  return clients.filter((client) => client.inMessage).length;
}

function outcomesOf(clients: readonly SmtpClient[]): Promise<readonly SmtpOutcome[]> {
  return Promise.all(clients.map(({ outcome }) => outcome));
}

function total(outcomes: readonly SmtpOutcome[], what: 'sent' | 'accepted'): number {
  return outcomes.reduce((sum, outcome) => sum + outcome[what], 0);
}
