import { type Registry, type RegistryContentType, register } from 'prom-client';
import { LastCallError, optionError } from '../errors.ts';
import { checkNames, isObject } from '../option-checks.ts';
import { METRIC_NAMES } from './names.ts';

/** The registry and the names of the metrics. */
export interface MetricsOptions {
  /** The registry for the metrics. Default: the global one of prom-client, `register`. */
  readonly registry?: MetricsRegistry;
  /** The beginning of their names, before `lastcall_`. Default: empty. */
  readonly prefix?: string;
}

/** A registry of prom-client, in any of its formats. */
export type MetricsRegistry = Registry<RegistryContentType>;

export interface CompleteMetricsOptions {
  readonly registry: MetricsRegistry;
  readonly prefix: string;
}

const NAMES: readonly (keyof MetricsOptions)[] = ['registry', 'prefix'];

// The beginning of a metric's name (Prometheus, "Metric names and labels"). A letter follows.
const PREFIX = /^([a-zA-Z_:][a-zA-Z0-9_:]*)?$/;

/** Checks the options. Throws a `LastCallError` with code `ERR_OPTION` with what was expected and what came. */
export function completeMetricsOptions(given: MetricsOptions = {}): CompleteMetricsOptions {
  if (!isObject(given)) throw optionError('options', 'an object', given);
  checkNames('options', given, NAMES);
  const { registry = register, prefix = '' } = given;
  if (!isRegistry(registry)) throw optionError('registry', 'a registry of prom-client', registry);
  if (typeof prefix !== 'string' || !PREFIX.test(prefix)) {
    throw optionError('prefix', 'a string that a metric may begin with', prefix);
  }
  return { registry, prefix };
}

/** Throws if the registry has one of the metrics already. */
export function checkThatNew(options: CompleteMetricsOptions): void {
  const { registry } = options;
  const taken = namesOf(options).find((name) => registry.getSingleMetric(name) !== undefined);
  if (taken === undefined) return;
  const remedy = 'take the first metrics off it, or give these another `prefix`';
  throw new LastCallError('ERR_OPTION', `Expected \`registry\` to be one without ${taken}: ${remedy}`);
}

/** The names of the metrics on the registry. */
export function namesOf({ prefix }: CompleteMetricsOptions): readonly string[] {
  return Object.values(METRIC_NAMES).map((name) => prefix + name);
}

function isRegistry(value: unknown): value is MetricsRegistry {
  if (typeof value !== 'object' || value === null) return false;
  return ['registerMetric', 'getSingleMetric', 'removeSingleMetric'].every(
    (name) => typeof Reflect.get(value, name) === 'function',
  );
}
