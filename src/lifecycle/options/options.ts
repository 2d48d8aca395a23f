import { isSignal } from '../../signals.ts';
import { CLOSE_OPTION_NAMES, completeOptions } from '../../close/check-options.ts';
import type { CloseOptions } from '../../close/options.ts';
import type { CloseReport } from '../../close/report.ts';
import { optionError } from '../../errors.ts';
import { checkBoolean, checkFunction, checkNames, isObject, milliseconds } from '../../option-checks.ts';
import { ON_DRAIN } from './on-drain-module.ts';
import { type StopDefaults, stopDefaults } from './platform-defaults.ts';
import { ADDRESS, DURATION, SIGNALS, SWITCH, type TextForm, WORD } from './text-forms.ts';

/**
 * How a service stops. All times are in milliseconds; 0 means not to wait. `deadline` counts from the signal and covers
 * everything: the lame duck, the drain and the hooks. Its default is 25,000 in Kubernetes, 60,000 under systemd, and 9,000
 * elsewhere. Each is less than the time after which the platform kills.
 */
export interface LastCallOptions extends CloseOptions {
  /** The signals that stop the service. Default SIGTERM and SIGINT. A second one, at least 500 ms later, ends the stop at once. */
  readonly signals?: readonly NodeJS.Signals[];
  /**
   * How long at most the service goes on serving, no longer ready, before the gate shuts. Default 10,000 in Kubernetes, else
   * 0; or `lameDuckMin` if that is more.
   */
  readonly lameDuck?: number;
  /** The shortest lame duck. Default 5,000 in Kubernetes, else 0; never more than `lameDuck`. */
  readonly lameDuckMin?: number;
  /** The lame duck ends after this time without a new connection. Health checks do not count. Default 1,000. */
  readonly quietFor?: number;
  /** Called first, with the reason. The gate shuts when its promise settles, or when the time of the lame duck is up. */
  readonly onLameDuck?: (reason: string) => void | Promise<void>;
  /** Called when the servers are closed. Close a database's pool, a framework or a log here. */
  readonly onDrained?: (report: CloseReport) => void | Promise<void>;
  /** Whether the process exits after a stop that a signal asked for. Default true. */
  readonly exit?: boolean;
  /** Whether the exit code is 1 also when something was cut. Default false. */
  readonly strict?: boolean;
  /**
   * Whether the program's own listeners of the signals wait until the drain has ended, as under lastcall/register. Default
   * false: they run at once, and are named on stderr.
   */
  readonly holdListeners?: boolean;
  /**
   * How long a held listener that returns nothing may take to end the process. One that returns a promise has until the
   * deadline. Default 10,000, and never longer than the deadline.
   */
  readonly listenerWait?: number;
  /**
   * A port, or a port and a host, for a separate server that answers `/ready` and `/live`. Default: none. In a cluster only
   * the primary starts it.
   */
  readonly readinessServer?: number | ReadinessAddress;
}

/** Where the readiness server listens. */
export interface ReadinessAddress {
  readonly port: number;
  /** Default: all addresses. */
  readonly host?: string;
}

type OwnOptions = Omit<LastCallOptions, keyof CloseOptions>;
type WithoutDefault = 'onLameDuck' | 'onDrained';

type CompleteOwnOptions = Required<Omit<OwnOptions, WithoutDefault | 'readinessServer'>> & {
  readonly [Name in WithoutDefault]: OwnOptions[Name] | undefined;
} & { readonly readinessServer: ReadinessAddress | undefined };

/** Options as a `lastCall` uses them: checked and complete. */
export type CompleteLastCallOptions = CompleteOwnOptions & {
  /** What a close is given. The budget sets its deadline. */
  readonly close: CloseOptions;
  readonly deadline: number;
  readonly idleWait: number;
  readonly spread: number;
};

/** How an option is checked, and how the environment writes it, if it may. */
interface Row<Value> {
  readonly check: (options: LastCallOptions, defaults: StopDefaults) => Value;
  readonly form?: TextForm;
}

/** Every option that `lastCall` has beside those of a close. Names, checks and variables follow from this table. */
const OWN: { readonly [Name in keyof CompleteOwnOptions]: Row<CompleteOwnOptions[Name]> } = {
  signals: { form: SIGNALS, check: ({ signals }) => checkSignals(signals) },
  lameDuck: { form: DURATION, check: checkLameDuck },
  lameDuckMin: { form: DURATION, check: checkLameDuckMin },
  quietFor: { form: DURATION, check: ({ quietFor }) => milliseconds('quietFor', quietFor, 1_000) },
  onLameDuck: { check: ({ onLameDuck }) => checkFunction('onLameDuck', onLameDuck) },
  onDrained: { check: ({ onDrained }) => checkFunction('onDrained', onDrained) },
  exit: { check: ({ exit }) => checkBoolean('exit', exit, true) },
  strict: { form: SWITCH, check: ({ strict }) => checkBoolean('strict', strict, false) },
  holdListeners: { check: ({ holdListeners }) => checkBoolean('holdListeners', holdListeners, false) },
  listenerWait: {
    form: DURATION,
    check: ({ listenerWait }) => milliseconds('listenerWait', listenerWait, 10_000),
  },
  readinessServer: { form: ADDRESS, check: ({ readinessServer }) => checkReadinessServer(readinessServer) },
};

/** The options of a close that the environment may set. */
const OF_CLOSE: { readonly [Name in keyof CloseOptions]: TextForm } = {
  deadline: DURATION,
  newConnections: WORD,
  gate: WORD,
  handshakeWait: DURATION,
  idleWait: DURATION,
  lingerWait: DURATION,
  answerWait: DURATION,
  eventStreams: WORD,
  spread: DURATION,
  onDrain: ON_DRAIN,
};

/** Every option of `lastCall`. */
export const LAST_CALL_OPTION_NAMES: readonly string[] = [...CLOSE_OPTION_NAMES, ...Object.keys(OWN)];

/** How the environment writes each option that it may set. */
export const OPTION_FORMS: Readonly<Record<string, TextForm>> = {
  ...OF_CLOSE,
  ...Object.fromEntries(Object.entries(OWN).flatMap(([name, { form }]) => (form === undefined ? [] : [[name, form]]))),
};

/** signal(7): neither can be caught. */
const UNCATCHABLE: readonly string[] = ['SIGKILL', 'SIGSTOP'];

/** Checks the options once, at the edge. Throws a `LastCallError` with code `ERR_OPTION` that names what was expected and what came. */
export function completeLastCallOptions(
  given: LastCallOptions = {},
  defaults: StopDefaults = stopDefaults(),
): CompleteLastCallOptions {
  if (!isObject(given)) throw optionError('options', 'an object', given);
  // Own properties only, each read once: nothing on Object.prototype is an option.
  const options: LastCallOptions = Object.assign(Object.create(null), given);
  checkNames('options', options, LAST_CALL_OPTION_NAMES);
  const ofClose = Object.entries(options).filter(([name]) => CLOSE_OPTION_NAMES.includes(name));
  const close: CloseOptions = Object.fromEntries(ofClose);
  const { deadline, idleWait, spread } = completeOptions({ ...close, deadline: options.deadline ?? defaults.deadline });
  const own = Object.entries(OWN).map(([name, { check }]) => [name, check(options, defaults)]);
  return { close, deadline, idleWait, spread, ...(Object.fromEntries(own) as CompleteOwnOptions) };
}

function checkSignals(value: unknown): readonly NodeJS.Signals[] {
  if (value === undefined) return ['SIGTERM', 'SIGINT'];
  const expected = 'an array of names of signals that can be caught, such as `SIGTERM`';
  if (!Array.isArray(value)) throw optionError('signals', expected, value);
  const names: readonly unknown[] = value;
  const wrong = names.findIndex((name) => !isCatchable(name));
  if (wrong !== -1) throw optionError('signals', expected, names[wrong]);
  return [...new Set(names.filter(isCatchable))];
}

function isCatchable(name: unknown): name is NodeJS.Signals {
  return isSignal(name) && !UNCATCHABLE.includes(name);
}

/** `lameDuckMin` alone makes `lameDuck` as long. */
function checkLameDuck({ lameDuck, lameDuckMin }: LastCallOptions, defaults: StopDefaults): number {
  const isLonger = typeof lameDuckMin === 'number' && lameDuckMin > defaults.lameDuck;
  return milliseconds('lameDuck', lameDuck, isLonger ? lameDuckMin : defaults.lameDuck);
}

function checkLameDuckMin(options: LastCallOptions, defaults: StopDefaults): number {
  const lameDuck = checkLameDuck(options, defaults);
  const lameDuckMin = milliseconds('lameDuckMin', options.lameDuckMin, Math.min(defaults.lameDuckMin, lameDuck));
  if (lameDuckMin > lameDuck) throw optionError('lameDuckMin', `at most \`lameDuck\` (${lameDuck})`, lameDuckMin);
  return lameDuckMin;
}

function checkReadinessServer(value: unknown): ReadinessAddress | undefined {
  if (value === undefined) return undefined;
  const address = isObject(value) ? value : { port: value };
  checkNames('readinessServer', address, ['port', 'host']);
  const { port, host }: { readonly port?: unknown; readonly host?: unknown } = address;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw optionError('readinessServer', 'a port, or an object with a `port` and a `host`', port);
  }
  if (host === undefined) return { port };
  if (typeof host !== 'string' || host === '') throw optionError('readinessServer.host', 'a name or address', host);
  return { port, host };
}
