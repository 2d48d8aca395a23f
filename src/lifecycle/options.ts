import { constants } from 'node:os';
import { CLOSE_OPTION_NAMES, completeOptions } from '../close/check-options.ts';
import type { CloseOptions } from '../close/options.ts';
import type { CloseReport } from '../close/report.ts';
import { optionError } from '../errors.ts';
import { checkBoolean, checkFunction, checkNames, isObject, milliseconds } from '../option-checks.ts';
import { type StopDefaults, stopDefaults } from './surroundings.ts';

/**
 * How a service stops. All times are in milliseconds; 0 means not to wait. `deadline` counts from the signal and covers
 * everything: the lame duck, the drain and the hooks. Its default is 25,000 in Kubernetes, 60,000 under systemd, and 9,000
 * elsewhere, each below the time after which the supervisor kills.
 */
export interface LastCallOptions extends CloseOptions {
  /** The signals that stop the service. Default SIGTERM and SIGINT. A second one, at least 500 ms later, means now. */
  readonly signals?: readonly NodeJS.Signals[];
  /**
   * How long at most to go on serving, not ready any more, before the gate shuts. Default 10,000 in Kubernetes, else 0; and
   * `lameDuckMin` where that is more.
   */
  readonly lameDuck?: number;
  /** How long at least. Default 5,000 in Kubernetes, else 0; never more than `lameDuck`. */
  readonly lameDuckMin?: number;
  /** So long without a new connection other than health checks ends the lame duck. Default 1,000. */
  readonly quietFor?: number;
  /** Called first, with the reason; the gate shuts when its promise is settled, or the lame duck's time is over. */
  readonly onLameDuck?: (reason: string) => void | Promise<void>;
  /** Called when the servers are closed: the place to close a database's pool, a framework, a log. */
  readonly onDrained?: (report: CloseReport) => void | Promise<void>;
  /** Whether the process exits after a stop that a signal asked for. Default true. */
  readonly exit?: boolean;
  /** Whether the exit code is 1 also when something was cut. Default false. */
  readonly strict?: boolean;
  /**
   * A port, or a port and a host, for a server of its own that answers `/ready` and `/live`. Default: none. Of a cluster the
   * primary has it; in a worker it is not started.
   */
  readonly readinessServer?: number | ReadinessAddress;
}

/** Where the readiness server listens. */
export interface ReadinessAddress {
  readonly port: number;
  /** Default: all addresses. */
  readonly host?: string;
}

/** Options as a `lastCall` uses them: checked and complete. */
export interface CompleteLastCallOptions {
  /** What a close is given, but for its deadline. */
  readonly close: CloseOptions;
  readonly deadline: number;
  readonly spread: number;
  readonly signals: readonly NodeJS.Signals[];
  readonly lameDuck: number;
  readonly lameDuckMin: number;
  readonly quietFor: number;
  readonly onLameDuck: ((reason: string) => void | Promise<void>) | undefined;
  readonly onDrained: ((report: CloseReport) => void | Promise<void>) | undefined;
  readonly exit: boolean;
  readonly strict: boolean;
  readonly readinessServer: ReadinessAddress | undefined;
}

const OWN_NAMES = [
  'signals',
  'lameDuck',
  'lameDuckMin',
  'quietFor',
  'onLameDuck',
  'onDrained',
  'exit',
  'strict',
  'readinessServer',
] satisfies readonly (keyof LastCallOptions)[];

/** Every option of `lastCall`. */
export const LAST_CALL_OPTION_NAMES: readonly string[] = [...CLOSE_OPTION_NAMES, ...OWN_NAMES];

/** signal(7): neither can be caught. */
const NOT_TO_BE_CAUGHT: readonly string[] = ['SIGKILL', 'SIGSTOP'];

/** Checks the options once, at the edge. Throws a `LastCallError` with code `ERR_OPTION` that says what was expected and what came. */
export function completeLastCallOptions(
  given: LastCallOptions = {},
  defaults: StopDefaults = stopDefaults(),
): CompleteLastCallOptions {
  if (!isObject(given)) throw optionError('options', 'an object', given);
  // Its own properties alone, each read once: nothing that somebody has put on Object.prototype is an option.
  const options: LastCallOptions = Object.assign(Object.create(null), given);
  checkNames('options', options, LAST_CALL_OPTION_NAMES);
  const close = withoutOwn(options);
  const { deadline, spread } = completeOptions({ ...close, deadline: options.deadline ?? defaults.deadline });
  const lameDuck = milliseconds('lameDuck', options.lameDuck, atLeast(defaults.lameDuck, options.lameDuckMin));
  return {
    close,
    deadline,
    spread,
    signals: checkSignals(options.signals),
    lameDuck,
    lameDuckMin: checkLameDuckMin(options.lameDuckMin, lameDuck, defaults.lameDuckMin),
    quietFor: milliseconds('quietFor', options.quietFor, 1_000),
    onLameDuck: checkFunction('onLameDuck', options.onLameDuck),
    onDrained: checkFunction('onDrained', options.onDrained),
    exit: checkBoolean('exit', options.exit, true),
    strict: checkBoolean('strict', options.strict, false),
    readinessServer: checkReadinessServer(options.readinessServer),
  };
}

/** Who asks for a least time alone wants the most to be no shorter. */
function atLeast(fallback: number, least: unknown): number {
  return typeof least === 'number' && least > fallback ? least : fallback;
}

function withoutOwn(options: LastCallOptions): CloseOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => CLOSE_OPTION_NAMES.includes(name)));
}

function checkSignals(value: unknown): readonly NodeJS.Signals[] {
  if (value === undefined) return ['SIGTERM', 'SIGINT'];
  const expected = 'an array of names of signals that can be caught, such as `SIGTERM`';
  if (!Array.isArray(value)) throw optionError('signals', expected, value);
  const names: readonly unknown[] = value;
  const wrong = names.findIndex((name) => !isSignal(name));
  if (wrong !== -1) throw optionError('signals', expected, names[wrong]);
  return [...new Set(names.filter(isSignal))];
}

function isSignal(name: unknown): name is NodeJS.Signals {
  return typeof name === 'string' && Object.hasOwn(constants.signals, name) && !NOT_TO_BE_CAUGHT.includes(name);
}

function checkLameDuckMin(value: unknown, lameDuck: number, fallback: number): number {
  const lameDuckMin = milliseconds('lameDuckMin', value, Math.min(fallback, lameDuck));
  if (lameDuckMin > lameDuck) throw optionError('lameDuckMin', `at most \`lameDuck\` (${lameDuck})`, value);
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
