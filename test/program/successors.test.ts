import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { holdProcess } from '../../src/linux/process/pidfd.ts';
import { findTree } from '../../src/program/find/process-tree.ts';
import { stopProgram } from '../../src/program/stop/stop-program.ts';
import { reportOf } from '../cli/stop-to-the-end.ts';
import { makeFolder } from '../harness/folders.ts';
import { startLastcall, TO_GATE } from '../harness/lastcall-command.ts';
import { needsPrograms } from '../harness/needs.ts';
import { freePort, untilAccepted } from '../harness/ports.ts';
import { isAlive, startCommand } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { until } from '../harness/wait.ts';
import { countUnserved, queueClients } from './queued-clients.ts';

const HOST = '127.0.0.1';
const PYTHON = '/usr/bin/python3';
const SOURCES = fileURLToPath(new URL('../../../test/program/programs/', import.meta.url));

const WORKERS = 2;

/** A program that makes its successor at SIGUSR2. */
interface Upgradable {
  readonly title: string;
  readonly needs: string;
  /** The signal that stops it. */
  readonly signal: NodeJS.Signals;
  /** Starts it; resolves with its PID. */
  readonly start: (at: { readonly port: number; readonly folder: string }, scope: Scope) => Promise<number>;
  /** Whether its successor has workers, which serve. */
  readonly hasWorkers: boolean;
}

const PROGRAMS: readonly Upgradable[] = [
  {
    title: 'nginx',
    needs: '/usr/sbin/nginx',
    signal: 'SIGQUIT',
    hasWorkers: true,
    start: async ({ port, folder }, scope) => {
      const [file, pidFile] = [join(folder, 'nginx.conf'), join(folder, 'nginx.pid')];
      // It makes no successor unless it is a daemon.
      writeFileSync(
        file,
        `worker_processes ${WORKERS}; daemon on; pid ${pidFile}; error_log /dev/null;
         events { worker_connections 512; }
         http { access_log off; keepalive_timeout 0; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
           fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
           server { listen ${HOST}:${port}; location / { return 200 "served\\n"; } } }`,
      );
      await using starting = startCommand(['/usr/sbin/nginx', '-e', '/dev/null', '-c', file]);
      await starting.ended;
      return await daemonOf(pidFile, scope);
    },
  },
  {
    title: 'gunicorn',
    needs: '/usr/bin/gunicorn',
    signal: 'SIGTERM',
    hasWorkers: true,
    start: async ({ port, folder }, scope) => {
      const options = [
        '--chdir',
        SOURCES,
        '-w',
        String(WORKERS),
        '-b',
        `${HOST}:${port}`,
        '--log-level',
        'critical',
        '--daemon',
      ];
      const pidFile = join(folder, 'pid');
      await using starting = startCommand(['/usr/bin/gunicorn', ...options, '--pid', pidFile, 'wsgi_app:app']);
      await starting.ended;
      return await daemonOf(pidFile, scope);
    },
  },
  {
    title: 'a server whose successor has a session of its own',
    needs: PYTHON,
    signal: 'SIGTERM',
    hasWorkers: false,
    start: async ({ port }, scope) => {
      const running = scope.use(startCommand([PYTHON, join(SOURCES, 'successor.py'), String(port)]));
      await running.prints(/^serves/m);
      return running.pid;
    },
  },
];

/** A daemon and its successor are no children of ours: they are killed at the end, the successor as their descendant or by its PID. */
async function daemonOf(pidFile: string, scope: Scope): Promise<number> {
  let pid = 0;
  await until(`${pidFile} has a PID`, () => {
    pid = readPid(pidFile);
    return pid > 0;
  });
  killAtEnd(pid, scope);
  return pid;
}

function readPid(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return 0;
  }
}

function killAtEnd(root: number, scope: Scope): void {
  scope.defer(() => {
    for (const pid of [...findTree(root)].toReversed()) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
}

/** A program and its successor, which both serve. */
interface Upgraded {
  readonly old: number;
  readonly successor: number;
  readonly port: number;
}

async function upgrade(program: Upgradable, scope: Scope): Promise<Upgraded> {
  const folder = scope.use(makeFolder()).path;
  const port = await freePort();
  const old = await program.start({ port, folder }, scope);
  await untilAccepted({ port, host: HOST });
  const processes = program.hasWorkers ? 1 + WORKERS : 1;
  await until('its workers are there', () => findTree(old).size === processes);
  const before = findTree(old);
  process.kill(old, 'SIGUSR2');
  const news = (): readonly number[] => [...findTree(old)].filter((pid) => !before.has(pid));
  await until('the successor serves', () => news().length === processes);
  const [successor = 0] = news();
  killAtEnd(successor, scope);
  return { old, successor, port };
}

/** Clients, one after the other, until this has ended, and then one more: what each one saw. */
async function askDuring(port: number, isOver: () => boolean): Promise<readonly string[]> {
  const outcomes: string[] = [];
  for (let last = false; !last; ) {
    last = isOver();
    try {
      using client = await queueClients(1, { port, host: HOST });
      outcomes.push(...(await client.outcomes));
    } catch (error) {
      outcomes.push(String(error));
    }
  }
  return outcomes;
}

for (const program of PROGRAMS) {
  suite(`${program.title}, which has made its successor`, { skip: needsPrograms(program.needs) }, () => {
    const proof = prove(`new clients of the successor of ${program.title}, while the old one is stopped`);

    test('is stopped without shutting its successor out', async (t) => {
      await using scope = new Scope();
      const { old, successor, port } = await upgrade(program, scope);
      const stopping = scope.use(
        startLastcall(['stop', String(old), '--signal', program.signal, '--json', ...TO_GATE]),
      );
      const outcomes = await askDuring(port, () => stopping.hasEnded);
      const ended = await stopping.ended;
      const { listeners, outcome } = reportOf(ended);
      const [listener] = listeners;
      assert.deepEqual(
        { unserved: countUnserved(outcomes), code: ended.code, outcome, gate: listener?.gate },
        { unserved: 0, code: 0, outcome: 'complete', gate: 'shared' },
        `${ended.stderr} ${[...new Set(outcomes)].join()}`,
      );
      assert.match(listener?.reason ?? '', new RegExp(`^process .*\\b${successor}\\b.* holds it too$`));
      assert.deepEqual([isAlive(old), isAlive(successor)], [false, true]);
      proof.held(t, { clients: outcomes.length });
    });

    test('is killed by --kill without its successor', async () => {
      await using scope = new Scope();
      const { old, successor, port } = await upgrade(program, scope);
      // A signal that stops nothing.
      const options = ['--signal', 'SIGCONT', '--deadline', '500ms', '--kill', '--json'];
      const stopping = scope.use(startLastcall(['stop', String(old), ...options]));
      const ended = await stopping.ended;
      assert.equal(reportOf(ended).outcome, 'killed', ended.stderr);
      assert.deepEqual([isAlive(old), isAlive(successor)], [false, true]);
      const outcomes = await askDuring(port, () => true);
      assert.deepEqual(countUnserved(outcomes), 0, `${outcomes.join()}\n${ended.stderr}`);
    });

    test('control: a stop that takes its successor for a part of it shuts it out', async (t) => {
      await using scope = new Scope();
      const { old, port } = await upgrade(program, scope);
      const held = holdProcess(old);
      scope.defer(() => held.close());
      await stopProgram(
        { process: held, command: program.title, own: new Map(), leftBehind: () => [], kill: () => {} },
        {
          reason: 'the control',
          signal: program.signal,
          deadline: 30_000,
          mayKill: true,
          now: new AbortController().signal,
        },
      );
      proof.lost(t, countUnserved(await askDuring(port, () => true)));
    });
  });
}

test('a program without a successor is gated, although its workers have helpers', {
  skip: needsPrograms(PYTHON),
}, async () => {
  await using scope = new Scope();
  const port = await freePort();
  const running = scope.use(startCommand([PYTHON, join(SOURCES, 'worker_with_helper.py'), String(port)]));
  await running.prints(/^helper/m);
  const stopping = scope.use(startLastcall(['stop', String(running.pid), '--json', '--kill']));
  const { listeners, outcome } = reportOf(await stopping.ended);
  assert.deepEqual({ outcome, gates: listeners.map(({ gate }) => gate) }, { outcome: 'complete', gates: ['refuse'] });
});
