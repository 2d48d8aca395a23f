import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Ended, observeFixture, type Program, type ProgramOptions } from './observed-program.ts';
import { fixture } from './processes.ts';

/** How lastcall comes to a program that does not call for it itself. */
export type Registration = 'none' | '--import' | 'NODE_OPTIONS';

export interface ServiceOptions extends Pick<ProgramOptions, 'node' | 'args' | 'execArgv' | 'env' | 'ownGroup'> {
  readonly registration?: Registration;
  /** Fixtures by their paths, or URLs, to import before the program, and before lastcall. */
  readonly imports?: readonly string[];
}

/** The package as users have it. */
export const REGISTER: string = new URL('../../lib/register.js', import.meta.url).href;

/** What would tell the program, and its children, of somebody else's service manager, or of the tests. */
const SURROUNDINGS = ['KUBERNETES_SERVICE_HOST', 'NOTIFY_SOCKET', 'SYSTEMD_EXEC_PID', 'NODE_OPTIONS'];

/** Of a stop that went as it should: exit code 0, and nothing to say. */
export const ENDED_WELL: Ended = { code: 0, signal: null, stderr: '' };

/** Starts a program of the fixtures as its users would, with nothing of this process's surroundings, and observes it. */
export function startService(name: string, options: ServiceOptions = {}): Program {
  const { registration = 'none', imports = [], execArgv = [], env = {}, ...others } = options;
  const before = ['lifecycle/lifecycle-observer', ...imports].flatMap((module) => ['--import', urlOf(module)]);
  return observeFixture(name, {
    ...others,
    execArgv: [...execArgv, ...before, ...(registration === '--import' ? ['--import', 'lastcall/register'] : [])],
    env: {
      ...withoutSurroundings(),
      ...(registration === 'NODE_OPTIONS' ? { NODE_OPTIONS: `--import=${REGISTER}` } : {}),
      ...env,
    },
    directory: fileURLToPath(new URL('../../..', import.meta.url)),
  });
}

function urlOf(module: string): string {
  return URL.canParse(module) ? module : pathToFileURL(fixture(module)).href;
}

/** In place of what this process has, nothing. */
function withoutSurroundings(): NodeJS.ProcessEnv {
  const ours = Object.keys(process.env).filter((name) => name.startsWith('LASTCALL_'));
  return Object.fromEntries([...SURROUNDINGS, ...ours].map((name) => [name, undefined]));
}
