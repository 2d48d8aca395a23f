import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test, type TestContext } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ask, portOf, startHttp } from '../close/calls-servers.ts';
import type { Ended, Program } from '../harness/observed-program.ts';
import { REGISTER, startService } from '../harness/start-service.ts';

const DIED = { code: null, signal: 'SIGTERM', stderr: '' };

suite('under register, a program without a server', () => {
  for (const registration of ['--import', 'NODE_OPTIONS', 'none'] as const) {
    const control = registration === 'none' ? 'control, without register' : registration;
    test(`dies of SIGTERM by the signal (${control})`, async (t) => {
      const program = startService(t, 'lifecycle/no-server.js', { registration });
      await program.next('waits');
      process.kill(program.pid, 'SIGTERM');
      assert.deepEqual(await program.ended, DIED);
    });
  }

  test('reads no variables', async (t) => {
    const program = startService(t, 'lifecycle/no-server.js', {
      registration: '--import',
      env: { LASTCALL_DEADLINE: 'soon' },
    });
    await program.next('waits');
    process.kill(program.pid, 'SIGTERM');
    assert.deepEqual(await program.ended, DIED);
  });

  test('and with one in a worker thread dies of the signal, and no stop begins', async (t) => {
    const program = startService(t, 'lifecycle/no-server.js', { registration: '--import', args: ['a thread'] });
    // The thread has what was imported, too: it tells.
    await program.next('listening');
    process.kill(program.pid, 'SIGTERM');
    assert.deepEqual(await program.ended, DIED);
    assert.deepEqual(tellsOf(program), ['listening']);
  });

  test('that is the child of one with a server dies by the signal, and its parent serves on', async (t) => {
    const program = startService(t, 'lifecycle/no-server.js', { registration: 'NODE_OPTIONS', args: ['a child'] });
    const { port = 0 } = await program.next('listening');
    const { pid } = await program.next('waits');
    process.kill(pid, 'SIGTERM');
    const { facts } = await program.next('child has ended');
    assert.deepEqual(facts, { code: null, signal: 'SIGTERM' });
    assert.match(await ask(port).answer, /200 OK/);
    process.kill(program.pid, 'SIGTERM');
    assert.deepEqual(await program.ended, { code: 0, signal: null, stderr: '' });
    assert.equal(tellsOf(program).filter((tell) => tell === 'gate').length, 1);
  });
});

suite('npm with register in NODE_OPTIONS does as without', () => {
  const calls = [['--version'], ['run', 'says'], ['run', 'fails'], ['run', 'is-missing']];
  for (const args of calls) {
    test(`npm ${args.join(' ')}`, (t) => {
      const folder = packageFolder(t);
      const [under, without] = [runNpm(folder, args, `--import=${REGISTER}`), runNpm(folder, args, '')];
      assert.deepEqual(under, without);
      assert.notEqual(without.stdout + without.stderr, '');
    });
  }
});

suite('under register, a variable', () => {
  test('with a wrong value ends the program when its server listens, and says what was expected', async (t) => {
    const program = startStoppable(t, { LASTCALL_DEADLINE: 'soon' });
    const { code, stderr } = await program.ended;
    assert.equal(code, 1, stderr);
    const said = 'Expected `LASTCALL_DEADLINE` to be a duration such as `20s`, `500ms` or `1m`, got `soon`';
    assert.ok(stderr.includes(said), stderr);
    assert.ok(stderr.includes('ERR_ENVIRONMENT'), stderr);
  });

  test('with a value that its option does not take ends the program, too', async (t) => {
    const { code, stderr } = await startStoppable(t, { LASTCALL_NEW_CONNECTIONS: 'maybe' }).ended;
    assert.equal(code, 1, stderr);
    assert.match(stderr, /Expected `newConnections` to be .*, got `maybe`/);
  });

  test('with an unknown name is warned of, and the stop is as without it', async (t) => {
    const program = startStoppable(t, { LASTCALL_DEDLINE: '20s' });
    const { code, stderr } = await stop(program);
    assert.equal(code, 0);
    assert.match(stderr, /LastCallWarning: LASTCALL_DEDLINE is none of LASTCALL_DEADLINE, /);
  });

  test('with an address for probes that is taken is warned of, and the program serves', async (t) => {
    const taken = await startHttp(t);
    const program = startStoppable(t, { LASTCALL_READINESS_SERVER: `127.0.0.1:${portOf(taken)}` });
    const { port = 0 } = await program.next('listening');
    assert.match(await ask(port).answer, /200 OK/);
    process.kill(program.pid, 'SIGTERM');
    const { code, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /LastCallWarning: nobody answers probes of this process: listen EADDRINUSE/);
  });

  test('with a right value is obeyed: another signal stops the service', async (t) => {
    const program = startStoppable(t, { LASTCALL_SIGNALS: 'SIGHUP' });
    assert.deepEqual(await stop(program, 'SIGHUP'), { code: 0, signal: null, stderr: '' });
    assert.ok(tellsOf(program).includes('gate'));
  });

  test('control: without it that signal ends the process', async (t) => {
    const program = startStoppable(t, {});
    assert.deepEqual(await stop(program, 'SIGHUP'), { code: null, signal: 'SIGHUP', stderr: '' });
  });
});

suite('under register, a program that calls lastCall itself', () => {
  for (const way of ['lastCall first', 'lastCall late']) {
    const when = `${way === 'lastCall first' ? 'before' : 'after'} it listens`;
    test(`has its own stop alone: ${when}`, async (t) => {
      await hasOneStop(startService(t, 'lifecycle/signal-order.js', { registration: '--import', args: [way] }));
    });

    test(`has its own stop alone, where another copy of the package is registered: ${when}`, async (t) => {
      await hasOneStop(startService(t, 'lifecycle/signal-order.js', { imports: [copyRegister(t)], args: [way] }));
    });
  }
});

async function hasOneStop(program: Program): Promise<void> {
  await program.next('has called');
  assert.deepEqual(await stop(program), { code: 0, signal: null, stderr: '' });
  const states = program.history.filter(({ tell }) => tell === 'state').map(({ facts }) => facts?.state);
  assert.deepEqual(states, ['lame duck', 'closing', 'closed']);
  assert.equal(tellsOf(program).filter((tell) => tell === 'onDrained').length, 1);
  assert.equal(tellsOf(program).filter((tell) => tell === 'gate').length, 1);
}

function startStoppable(t: TestContext, env: NodeJS.ProcessEnv): Program {
  return startService(t, 'lifecycle/stopped-service.js', { registration: '--import', env });
}

async function stop(program: Program, signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
  await program.next('listening');
  process.kill(program.pid, signal);
  return program.ended;
}

function tellsOf({ history }: Program): readonly string[] {
  return history.map(({ tell }) => tell);
}

/** The package once more, as an application has it that brings its own; where to register it from. */
function copyRegister(t: TestContext): string {
  const root = new URL('../../../', import.meta.url);
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(new URL('dist/lib', root), join(folder, 'dist', 'lib'), { recursive: true });
  cpSync(new URL('package.json', root), join(folder, 'package.json'));
  symlinkSync(fileURLToPath(new URL('node_modules', root)), join(folder, 'node_modules'));
  return pathToFileURL(join(folder, 'dist', 'lib', 'register.js')).href;
}

function packageFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const scripts = { says: 'node -e "console.log(process.argv.length)"', fails: 'node -e "process.exit(3)"' };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'a-service', version: '1.0.0', scripts }));
  return folder;
}

function runNpm(
  folder: string,
  args: readonly string[],
  options: string,
): { status: number | null; stdout: string; stderr: string } {
  const env = {
    ...process.env,
    NODE_OPTIONS: options,
    npm_config_update_notifier: 'false',
    npm_config_loglevel: 'error',
  };
  const { status, stdout, stderr } = spawnSync('npm', args, { cwd: folder, env, encoding: 'utf8' });
  // Where it names its log file, the name has the time in it.
  return { status, stdout, stderr: stderr.replaceAll(/^.*A complete log of this run.*$/gm, '') };
}
