import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ask } from '../close/calls-servers.ts';
import type { Stoppable } from '../frameworks/traffic.ts';
import { holdUp } from '../harness/held-process.ts';

const FOLDER = fileURLToPath(new URL('../../../scripts/framework-commands/', import.meta.url));
const REGISTER = new URL('../../lib/register.js', import.meta.url).href;

/** A framework's own command that starts the server of an application in scripts/framework-commands. */
export interface FrameworkCommand {
  readonly framework: 'next' | 'nest' | 'fastify';
  readonly args: (port: number) => readonly string[];
  /** What it prints when it listens. */
  readonly listens: RegExp;
  /** Whom a supervisor tells to stop: the command alone, or everybody in its process group. */
  readonly told: 'command' | 'group';
}

export interface RunningCommand extends Stoppable {
  /** What the command itself has ended with. */
  readonly code: Promise<number | NodeJS.Signals>;
  /** Resolves when every process that it started has ended, too. */
  readonly allEnded: Promise<void>;
}

/** For a test's `skip`: why the commands cannot be run here. */
export const commandsMissing: string | false = existsSync(`${FOLDER}next/.next/BUILD_ID`)
  ? false
  : "the frameworks' commands are not installed: npm run framework-commands";

/** Starts the command, as it is or with `lastcall/register` in NODE_OPTIONS; resolves when the application has served. */
export async function startCommand(
  t: TestContext,
  { framework, args, listens, told }: FrameworkCommand,
  how: 'registered' | 'plain',
): Promise<RunningCommand> {
  const port = await freePort();
  const child = spawn(`${FOLDER}node_modules/.bin/${framework}`, args(port), {
    cwd: `${FOLDER}${framework}`,
    env: environment(port, how),
    stdio: ['ignore', 'pipe', 'inherit'],
    // A process group of its own.
    detached: true,
  });
  const pid = child.pid ?? 0;
  t.after(() => killGroup(pid));
  const code = once(child, 'exit').then(([code, signal]) => code ?? signal);
  const allEnded = once(child.stdout, 'close').then(() => {});
  let printed = '';
  for await (const text of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    printed += text;
    if (listens.test(printed)) break;
  }
  child.stdout.resume();
  const first = await ask(port).answer;
  if (first !== 'HTTP/1.1 200 OK') throw new Error(`the application of ${framework} has answered ${first}`);
  const server = servingProcess(pid);
  return {
    port,
    stop: () => void process.kill(told === 'group' ? -pid : pid, 'SIGTERM'),
    holdUp: () => holdUp(server),
    goOn: () => void process.kill(server, 'SIGCONT'),
    code,
    allEnded,
  };
}

function environment(port: number, how: 'registered' | 'plain'): NodeJS.ProcessEnv {
  // What the test runner, a supervisor or a cluster has put there is not theirs.
  const {
    NODE_TEST_CONTEXT: _,
    NOTIFY_SOCKET: __,
    KUBERNETES_SERVICE_HOST: ___,
    NODE_OPTIONS: ____,
    ...env
  } = process.env;
  const options = how === 'registered' ? { NODE_OPTIONS: `--import=${REGISTER}` } : {};
  return { ...env, ...options, PORT: `${port}`, NEXT_TELEMETRY_DISABLED: '1' };
}

/** The last one of those that the command has started, each by the one before; the command itself where there is none. */
function servingProcess(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
  return child === undefined || child === '' ? pid : servingProcess(Number(child));
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await once(server.close(), 'close');
  return address !== null && typeof address === 'object' ? address.port : 0;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: all have ended.
  }
}
