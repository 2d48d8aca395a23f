import { LastCallError, messageOf } from '../../errors.ts';
import { warn } from '../warn.ts';
import {
  type CompleteLastCallOptions,
  completeLastCallOptions,
  type LastCallOptions,
  OPTION_FORMS,
} from './options.ts';
import { type StopDefaults, stopDefaults } from './platform-defaults.ts';
import type { TextForm } from './text-forms.ts';

/** For the check of one option alone: the checks of options against each other come with all of them. */
const ALONE: StopDefaults = { deadline: 2 ** 31 - 1, lameDuck: 0, lameDuckMin: 0 };

/** By the name of the variable: `LASTCALL_LAME_DUCK` sets `lameDuck`. */
const VARIABLES: ReadonlyMap<string, readonly [option: string, form: TextForm]> = new Map(
  Object.entries(OPTION_FORMS).map(([option, form]) => [
    `LASTCALL_${option.replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`,
    [option, form],
  ]),
);

/** Every variable that is read, with the option that it sets. */
export const ENVIRONMENT: readonly (readonly [variable: string, option: string])[] = [...VARIABLES].map(
  ([variable, [option]]) => [variable, option],
);

/**
 * The options of a registered service: those that the environment sets, as by `LASTCALL_DEADLINE=20s`, and defaults. Throws
 * a `LastCallError` with code `ERR_ENVIRONMENT` for a wrong value.
 */
export function completeFromEnvironment(env: NodeJS.ProcessEnv = process.env): CompleteLastCallOptions {
  const options = optionsFromEnvironment(env);
  const set = ENVIRONMENT.filter(([, option]) => Object.hasOwn(options, option)).map(([variable]) => variable);
  return check(set.join(' and '), options, stopDefaults(env));
}

/** An empty variable counts as not set. An unknown `LASTCALL_` variable may be a misspelt one, and causes a warning. */
export function optionsFromEnvironment(env: NodeJS.ProcessEnv = process.env): LastCallOptions {
  const given = Object.entries(env).filter(([name, text]) => name.startsWith('LASTCALL_') && text !== '');
  const options = given.map(([name, text = '']) => readVariable(name, text)).filter((option) => option !== undefined);
  for (const [variable, name, value] of options) check(`\`${variable}\``, { [name]: value }, ALONE);
  return Object.fromEntries(options.map(([, name, value]) => [name, value]));
}

/** The check names the option; the user needs the name of the variable. */
function check(variables: string, options: LastCallOptions, defaults: StopDefaults): CompleteLastCallOptions {
  try {
    return completeLastCallOptions(options, defaults);
  } catch (cause) {
    throw new LastCallError('ERR_ENVIRONMENT', `${variables}: ${messageOf(cause)}`, { cause });
  }
}

function readVariable(name: string, text: string): readonly [string, string, unknown] | undefined {
  const variable = VARIABLES.get(name);
  if (variable === undefined) {
    warn(`${name} is unknown, expected one of ${[...VARIABLES.keys()].join(', ')}`);
    return undefined;
  }
  const [option, { expected, read }] = variable;
  const value = read(text);
  if (value !== undefined) return [name, option, value];
  throw new LastCallError('ERR_ENVIRONMENT', `Expected \`${name}\` to be ${expected}, got \`${text}\``);
}
