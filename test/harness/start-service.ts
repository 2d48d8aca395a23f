import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Program, type ProgramOptions, startProgram } from './observed-program.ts';

/** How lastcall comes to a program that does not call for it itself. */
export type Registration = 'none' | '--import' | 'NODE_OPTIONS';

export interface ServiceOptions extends Pick<ProgramOptions, 'node' | 'args' | 'env' | 'ownGroup'> {
  readonly registration?: Registration;
  /** Modules of the fixtures' folder, or of anywhere, to import before the program, and before lastcall. */
  readonly imports?: readonly string[];
}

/** The package as users have it. */
export const REGISTER: string = new URL('../../lib/register.js', import.meta.url).href;
/** A URL stays what it is. */
const fixture = (name: string): string =>
  URL.canParse(name) ? name : new URL(`../fixtures/${name}`, import.meta.url).href;

/** What would tell the program, and its children, of somebody else's service manager, or of the tests. */
const SURROUNDINGS = ['KUBERNETES_SERVICE_HOST', 'NOTIFY_SOCKET', 'SYSTEMD_EXEC_PID', 'NODE_OPTIONS'];

/** Starts a program of the fixtures as its users would, with nothing of this process's surroundings, and observes it. */
export function startService(t: TestContext, name: string, options: ServiceOptions = {}): Program {
  const { registration = 'none', imports = [], env = {}, ...others } = options;
  const before = ['lifecycle/lifecycle-observer.js', ...imports].flatMap((module) => ['--import', fixture(module)]);
  return startProgram(t, name, {
    ...others,
    execArgv: [...before, ...(registration === '--import' ? ['--import', 'lastcall/register'] : [])],
    env: {
      ...withoutSurroundings(),
      ...(registration === 'NODE_OPTIONS' ? { NODE_OPTIONS: `--import=${REGISTER}` } : {}),
      ...env,
    },
    directory: fileURLToPath(new URL('../../..', import.meta.url)),
  });
}

/** In place of what this process has, nothing. */
function withoutSurroundings(): NodeJS.ProcessEnv {
  const ours = Object.keys(process.env).filter((name) => name.startsWith('LASTCALL_'));
  return Object.fromEntries([...SURROUNDINGS, ...ours].map((name) => [name, undefined]));
}
