import { DURATION_FORM, readDuration } from '../durations.ts';
import { LastCallError } from '../errors.ts';
import { completeLastCallOptions, type CompleteLastCallOptions, type LastCallOptions } from './options.ts';
import { type StopDefaults, stopDefaults } from './surroundings.ts';

/** How a variable's text is read; undefined where it is none of what was expected. */
interface Reader {
  readonly expected: string;
  readonly read: (text: string) => unknown;
}

/** For a value that is looked at alone: what two of them have to do with each other is seen with all. */
const ALONE: StopDefaults = { deadline: 2 ** 31 - 1, lameDuck: 0, lameDuckMin: 0 };

const DURATION: Reader = { expected: DURATION_FORM, read: readDuration };

const SWITCHES: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

const SWITCH: Reader = {
  expected: '`true` or `false`',
  read: (text) => SWITCHES.get(text),
};

const SIGNALS: Reader = {
  expected: 'signals such as `SIGTERM,SIGINT`',
  read: (text) => (/^SIG[A-Z0-9]+(, ?SIG[A-Z0-9]+)*$/.test(text) ? text.split(/, ?/) : undefined),
};

const ADDRESS: Reader = {
  expected: 'a port or an address such as `127.0.0.1:9090`',
  read: (text) => {
    const [, host, port = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
    if (port === '') return undefined;
    return host === undefined ? { port: Number(port) } : { port: Number(port), host: host.replaceAll(/^\[|\]$/g, '') };
  },
};

/** Any text: whoever checks the options checks it. */
const WORD: Reader = { expected: 'a word', read: (text) => text };

const VARIABLES: Readonly<Record<string, readonly [option: keyof LastCallOptions, reader: Reader]>> = {
  LASTCALL_DEADLINE: ['deadline', DURATION],
  LASTCALL_NEW_CONNECTIONS: ['newConnections', WORD],
  LASTCALL_GATE: ['gate', WORD],
  LASTCALL_HANDSHAKE_WAIT: ['handshakeWait', DURATION],
  LASTCALL_IDLE_WAIT: ['idleWait', DURATION],
  LASTCALL_LINGER_WAIT: ['lingerWait', DURATION],
  LASTCALL_SPREAD: ['spread', DURATION],
  LASTCALL_SIGNALS: ['signals', SIGNALS],
  LASTCALL_LAME_DUCK: ['lameDuck', DURATION],
  LASTCALL_LAME_DUCK_MIN: ['lameDuckMin', DURATION],
  LASTCALL_QUIET_FOR: ['quietFor', DURATION],
  LASTCALL_STRICT: ['strict', SWITCH],
  LASTCALL_READINESS_SERVER: ['readinessServer', ADDRESS],
};

/** Every variable that is read, with the option that it sets. */
export const ENVIRONMENT: readonly (readonly [variable: string, option: string])[] = Object.entries(VARIABLES).map(
  ([variable, [option]]) => [variable, option],
);

/**
 * The options of a service that is not changed: those that the environment sets, `LASTCALL_DEADLINE=20s`, and defaults. Throws
 * a `LastCallError` with code `ERR_ENVIRONMENT` for a wrong value.
 */
export function completeFromEnvironment(env: NodeJS.ProcessEnv = process.env): CompleteLastCallOptions {
  const options = optionsFromEnvironment(env);
  const set = ENVIRONMENT.filter(([, option]) => Object.hasOwn(options, option)).map(([variable]) => variable);
  return check(set.join(' and '), options, stopDefaults(env));
}

/** An empty variable counts as not set, and a name that is none of ours is warned of: it may be written wrong. */
export function optionsFromEnvironment(env: NodeJS.ProcessEnv = process.env): LastCallOptions {
  const given = Object.entries(env).filter(([name, text]) => name.startsWith('LASTCALL_') && text !== '');
  const options = given.map(([name, text = '']) => readVariable(name, text)).filter((option) => option !== undefined);
  for (const [variable, name, value] of options) check(`\`${variable}\``, { [name]: value }, ALONE);
  return Object.fromEntries(options.map(([, name, value]) => [name, value]));
}

/** Whoever checks the options names the option; here the variable is what can be corrected. */
function check(variables: string, options: LastCallOptions, defaults: StopDefaults): CompleteLastCallOptions {
  try {
    return completeLastCallOptions(options, defaults);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LastCallError('ERR_ENVIRONMENT', `${variables}: ${why}`, { cause });
  }
}

function readVariable(name: string, text: string): readonly [string, string, unknown] | undefined {
  const variable = Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined;
  if (variable === undefined) {
    process.emitWarning(`${name} is none of ${Object.keys(VARIABLES).join(', ')}`, 'LastCallWarning');
    return undefined;
  }
  const [option, { expected, read }] = variable;
  const value = read(text);
  if (value !== undefined) return [name, option, value];
  throw new LastCallError('ERR_ENVIRONMENT', `Expected \`${name}\` to be ${expected}, got \`${text}\``);
}
