import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ask } from '../close/calls-servers.ts';
import { beginRequest, stopInStorm, stopWithQueue } from '../frameworks/traffic.ts';
import { commandsMissing, type FrameworkCommand, startCommand } from './framework-command.ts';

const QUEUED = 100;
// Node accepts one a turn of its loop: where a hundred ask without end, `next start` leaves the last ones for ten seconds.
const STORMING = 30;

interface Case extends FrameworkCommand {
  readonly title: string;
  /** The command's own exit code after SIGTERM. */
  readonly code: number;
}

const NEXT: Case = {
  title: '`next start`',
  framework: 'next',
  args: (port) => ['start', '--port', `${port}`, '--hostname', '127.0.0.1'],
  listens: /Ready in/,
  told: 'command',
  // Next ends its process so.
  code: 143,
};
const NEST: Case = {
  title: '`nest start`, whose process group is told,',
  framework: 'nest',
  args: () => ['start'],
  listens: /listening/,
  told: 'group',
  code: 0,
};
const NEST_WITHOUT_SHELL: Case = {
  ...NEST,
  title: '`nest start --no-shell`',
  args: () => ['start', '--no-shell'],
  told: 'command',
};
const FASTIFY: Case = {
  title: '`fastify start`',
  framework: 'fastify',
  args: (port) => ['start', '--port', `${port}`, '--address', '127.0.0.1', '--log-level', 'info', 'app.js'],
  listens: /Server listening/,
  told: 'command',
  code: 0,
};

for (const command of [NEXT, NEST, NEST_WITHOUT_SHELL, FASTIFY]) {
  const { title, code } = command;
  suite(`${title} told to stop`, { skip: commandsMissing, timeout: 180_000 }, () => {
    test('loses none of its keep-alive clients with lastcall/register in NODE_OPTIONS', async (t) => {
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

    test('serves the clients in its accept queue with lastcall/register', async (t) => {
      const running = await startCommand(t, command, 'registered');
      const answers = await stopWithQueue(running, QUEUED);
      assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
      await running.allEnded;
      assert.equal(await running.code, code);
    });

    test('finishes a response under way with lastcall/register, and says that it is the last', async (t) => {
      const running = await startCommand(t, command, 'registered');
      const { request, answer } = beginRequest(t, running, { path: '/slow' });
      request.end();
      // The application has begun to work for it: it is asked in the order in which they come.
      await ask(running.port).answer;
      running.stop();
      const { status, connection, body } = await answer;
      assert.deepEqual([status, connection, body], [200, 'close', 'done\n']);
      await running.allEnded;
    });

    test('control: without it the clients in its accept queue are reset', async (t) => {
      const running = await startCommand(t, command, 'plain');
      const answers = await stopWithQueue(running, QUEUED);
      const reset = answers.filter((answer) => answer === 'ECONNRESET').length;
      assert.ok(reset >= QUEUED / 2, `${reset} were reset`);
      t.diagnostic(`${reset} of ${QUEUED} reset`);
    });

    test('control: without it keep-alive clients are lost', async (t) => {
      const running = await startCommand(t, command, 'plain');
      const { lost, counts } = await stopInStorm(t, running, STORMING);
      assert.ok(lost > 0, JSON.stringify(counts));
      t.diagnostic(`${lost} lost`);
    });
  });
}
