import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ask } from '../close/calls-servers.ts';
import { beginRequest, stopInStorm, stopWithQueue } from '../frameworks/traffic.ts';
import { commandsMissing, type FrameworkCommand, startCommand } from './running-command.ts';

const QUEUED = 100;
// Node accepts one a turn of its loop: where a hundred ask without end, `next start` leaves the last ones for ten seconds.
const STORMING = 30;

/** What each framework's own command must stand with lastcall/register in NODE_OPTIONS. `code` is its exit code after SIGTERM. */
export function stopsWell(title: string, command: FrameworkCommand, code: number): void {
  suite(`${title}, told to stop`, { skip: commandsMissing }, () => {
    test('loses none of its keep-alive clients with lastcall/register', async (t) => {
      const running = await startCommand(t, command, 'registered');
      const { lost, counts } = await stopInStorm(t, running, STORMING);
      assert.deepEqual(
        [lost, counts.serverErrors, counts.failed, counts.aborted],
        [0, 0, 0, 0],
        JSON.stringify(counts),
      );
      await running.allEnded;
      assert.equal(await running.code, code);
      t.diagnostic(`${counts.served} served, 0 lost`);
    });

    test('finishes a response under way with lastcall/register, and says that it is the last', async (t) => {
      const running = await startCommand(t, command, 'registered');
      const { request, answer } = beginRequest(t, running, { path: '/slow' });
      request.end();
      // They are accepted in the order in which they come.
      await ask(running.port).answer;
      running.stop();
      const { status, connection, body } = await answer;
      assert.deepEqual([status, connection, body], [200, 'close', 'done\n']);
      await running.allEnded;
      assert.equal(await running.code, code);
    });

    test('control: without register keep-alive clients are lost', async (t) => {
      const running = await startCommand(t, command, 'plain');
      const { lost, counts } = await stopInStorm(t, running, STORMING);
      assert.ok(lost > 0, JSON.stringify(counts));
      t.diagnostic(`${lost} lost`);
    });
  });

  servesItsQueue(title, command, code);
}

/** The same of its accept queue alone. */
export function servesItsQueue(title: string, command: FrameworkCommand, code: number): void {
  suite(`${title}, told to stop with clients in its accept queue`, { skip: commandsMissing }, () => {
    test('serves them with lastcall/register', async (t) => {
      const running = await startCommand(t, command, 'registered');
      const answers = await stopWithQueue(running, QUEUED);
      assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
      await running.allEnded;
      assert.equal(await running.code, code);
    });

    test('control: resets them without', async (t) => {
      const running = await startCommand(t, command, 'plain');
      const answers = await stopWithQueue(running, QUEUED);
      const reset = answers.filter((answer) => answer === 'ECONNRESET').length;
      assert.ok(reset >= QUEUED / 2, `${reset} were reset`);
      t.diagnostic(`${reset} of ${QUEUED} reset`);
    });
  });
}
