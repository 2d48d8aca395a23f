import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ask } from '../close/calls-servers.ts';
import { assertNobodyLost } from '../frameworks/suite.ts';
import { stopWhileAsked, stopWithQueue, UnfinishedRequest } from '../frameworks/traffic.ts';
import { prove } from '../harness/proof.ts';
import { within } from '../harness/wait.ts';
import { commandsMissing, type FrameworkCommand, startFrameworkCommand } from './framework-command-driver.ts';

const QUEUED = 100;
// Node accepts one client per turn of its loop. With a hundred that keep asking, `next start` lets the last ones wait ten seconds.
const STORMING = 30;

/** The tests of a framework's own command with lastcall/register in NODE_OPTIONS. `code` is its exit code after SIGTERM. */
export function stopsWell(title: string, command: FrameworkCommand, code: number): void {
  suite(`${title} at SIGTERM`, { skip: commandsMissing }, () => {
    const proof = prove(`keep-alive clients of ${title} with lastcall/register`);

    test('loses none of its keep-alive clients with lastcall/register', async (t) => {
      await using running = await startFrameworkCommand(command, 'registered');
      const result = await stopWhileAsked(running, STORMING);
      assertNobodyLost(result);
      assert.equal(await within('the end of all its processes', running.allEnded), code);
      t.diagnostic(`${result.counts.served} served, 0 lost`);
      proof.held(t, { 'keep-alive clients': STORMING, unread: result.unread });
    });

    test('finishes a response under way with lastcall/register, with `Connection: close`', async () => {
      await using running = await startFrameworkCommand(command, 'registered');
      using slow = new UnfinishedRequest(running.port, { path: '/slow' });
      slow.request.end();
      // Clients are accepted in their order.
      await within('an answer to another client', ask(running.port).answer);
      running.stop();
      assert.deepEqual(await slow.answer(), { status: 200, connection: 'close', body: 'done\n' });
      assert.equal(await within('the end of all its processes', running.allEnded), code);
    });

    test('control: without register keep-alive clients are lost', async (t) => {
      await using running = await startFrameworkCommand(command, 'plain');
      const { lost, counts } = await stopWhileAsked(running, STORMING);
      assert.ok(lost > 0, JSON.stringify(counts));
      t.diagnostic(`${lost} lost`);
      proof.lost(t, lost);
    });
  });

  servesItsQueue(title, command, code);
}

/** The tests of its accept queue alone. */
export function servesItsQueue(title: string, command: FrameworkCommand, code: number): void {
  suite(`${title} at SIGTERM with clients in its accept queue`, { skip: commandsMissing }, () => {
    const proof = prove(`the accept queue of ${title} with lastcall/register`);

    test('serves them with lastcall/register', async (t) => {
      await using running = await startFrameworkCommand(command, 'registered');
      const answers = await stopWithQueue(running, QUEUED);
      assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
      assert.equal(await within('the end of all its processes', running.allEnded), code);
      proof.held(t, { queued: answers.length });
    });

    test('control: resets them without', async (t) => {
      await using running = await startFrameworkCommand(command, 'plain');
      const answers = await stopWithQueue(running, QUEUED);
      const reset = answers.filter((answer) => answer === 'ECONNRESET').length;
      assert.ok(reset >= QUEUED / 2, `${reset} were reset`);
      t.diagnostic(`${reset} of ${QUEUED} reset`);
      proof.lost(t, reset);
    });
  });
}
