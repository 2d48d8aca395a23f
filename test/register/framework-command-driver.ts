// The test's side of the frameworks' own commands, which start the applications in scripts/framework-commands.
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ask } from '../close/calls-servers.ts';
import type { Stoppable } from '../frameworks/example-driver.ts';
import { freePort } from '../harness/ports.ts';
import { holdProcess, startCommand } from '../harness/processes.ts';
import { REGISTER } from '../harness/start-service.ts';
import { within } from '../harness/wait.ts';

const FOLDER = fileURLToPath(new URL('../../../scripts/framework-commands/', import.meta.url));

/** A framework's own command that starts the server of an application in scripts/framework-commands. */
export interface FrameworkCommand {
  readonly framework: 'next' | 'nest' | 'fastify';
  readonly args: (port: number) => readonly string[];
  /** What it prints when it listens. */
  readonly listens: RegExp;
  /** What a supervisor sends the signal to: the command alone, or its process group. */
  readonly receiver: 'command' | 'group';
  /** More variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** For `await using`. */
export interface RunningCommand extends Stoppable, AsyncDisposable {
  /** Resolves with the end of the command when every process that it started has ended too. */
  readonly allEnded: Promise<number | NodeJS.Signals | null>;
}

/** For a test's `skip`: why the commands cannot be run here. */
export const commandsMissing: string | false = existsSync(`${FOLDER}next/.next/BUILD_ID`)
  ? false
  : 'needs npm run framework-commands';

/** Starts the command, as it is or with `lastcall/register` in NODE_OPTIONS. Resolves when the application has served. */
export async function startFrameworkCommand(
  { framework, args, listens, receiver, env = {} }: FrameworkCommand,
  how: 'registered' | 'plain',
): Promise<RunningCommand> {
  const port = await freePort();
  const command = startCommand([`${FOLDER}node_modules/.bin/${framework}`, ...args(port)], {
    cwd: `${FOLDER}${framework}`,
    env: { ...environment(port, how), ...env },
    ownGroup: true,
  });
  try {
    // All its processes print there.
    const silent = command.child.stdout === null ? Promise.resolve() : once(command.child.stdout, 'close');
    await command.prints(listens);
    const first = await within('the first answer', ask(port).answer);
    if (first !== 'HTTP/1.1 200 OK') throw new Error(`the application of ${framework} has answered ${first}`);
    const server = servingProcess(command.pid);
    const stop = (): void => void process.kill(receiver === 'group' ? -command.pid : command.pid, 'SIGTERM');
    const goOn = (): void => void process.kill(server, 'SIGCONT');
    return {
      port,
      stop,
      stopInTurn: async () => {
        await holdProcess(server);
        stop();
        return goOn;
      },
      hold: () => holdProcess(server),
      goOn,
      allEnded: Promise.all([command.ended, silent]).then(([{ code, signal }]) => code ?? signal),
      [Symbol.asyncDispose]: () => command[Symbol.asyncDispose](),
    };
  } catch (error) {
    await command[Symbol.asyncDispose]();
    throw error;
  }
}

/** Without the variables of a test runner, a supervisor or a cluster. */
function environment(port: number, how: 'registered' | 'plain'): Readonly<Record<string, string | undefined>> {
  return {
    NODE_TEST_CONTEXT: undefined,
    NOTIFY_SOCKET: undefined,
    KUBERNETES_SERVICE_HOST: undefined,
    NODE_OPTIONS: how === 'registered' ? `--import=${REGISTER}` : undefined,
    PORT: `${port}`,
    NEXT_TELEMETRY_DISABLED: '1',
  };
}

/** The last process in the chain that the command has started; the command itself if it has started none. */
function servingProcess(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
  return child === undefined || child === '' ? pid : servingProcess(Number(child));
}
