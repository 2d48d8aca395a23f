import net from 'node:net';
import { optionError } from '../errors.ts';
import type { Target } from './connection.ts';
import type { StormCounts } from './outcome.ts';

export interface StormOptions {
  /** The server. The host is an IP address: the storm does not look up names. */
  readonly target: Target;
  /** How many clients send requests at the same time, each `pipeline` requests at a time. */
  readonly clients: number;
  /** Whether to keep the connection for the next request; default false: a new connection for each. */
  readonly keepAlive?: boolean;
  /** How many requests a client writes together, before any is answered; default 1. Needs `keepAlive`. */
  readonly pipeline?: number;
  /** The shortest and longest pause of a client between two requests, or groups of requests, in ms; default [0, 0]. */
  readonly thinkTime?: readonly [min: number, max: number];
  /** Time limit for a complete answer, including the handshake of the connection, in ms; default 10,000. */
  readonly timeout?: number;
  /** No request begins after this time, in ms; default 10,000. */
  readonly duration?: number;
  /** The total number of requests; default 1,000,000. */
  readonly requests?: number;
  /** What a refused client does: leave, or try again after this many ms; default 'stop'. */
  readonly afterRefusal?: 'stop' | number;
  /** The bytes of one request; default a GET of /, with `Connection: close` unless `keepAlive` is set. */
  readonly request?: Uint8Array;
  /** IP addresses to connect from, assigned to the clients in turn; default: the kernel chooses. */
  readonly localAddresses?: readonly string[];
  /** Called every 100 ms with the live counts and the ms since the start. */
  readonly onProgress?: (counts: Readonly<StormCounts>, elapsed: number) => void;
  /** Ends the storm at once; requests under way count as `aborted`. */
  readonly signal?: AbortSignal;
  /** The seed of the think times; default 1. */
  readonly seed?: number;
}

/** Checked options, with defaults. */
export type CheckedStormOptions = Required<Omit<StormOptions, 'onProgress' | 'signal'>> &
  Pick<StormOptions, 'onProgress' | 'signal'>;

const MAX_CLIENTS = 60_000;
const MAX_PIPELINE = 1_000;
const MAX_REQUESTS = 100_000_000;
/** One hour: the limit of any storm. */
const MAX_MILLISECONDS = 3_600_000;

/** Throws a `LastCallError` with code `ERR_OPTION` that names the expected and the actual value. */
export function checkStormOptions(options: StormOptions): CheckedStormOptions {
  const keepAlive = options.keepAlive ?? false;
  if (typeof keepAlive !== 'boolean') throw optionError('keepAlive', 'a boolean', keepAlive);
  return {
    ...options,
    target: checkTarget(options.target),
    clients: checkInteger('clients', options.clients, 1, MAX_CLIENTS),
    keepAlive,
    pipeline: checkPipeline(options.pipeline ?? 1, keepAlive),
    thinkTime: checkThinkTime(options.thinkTime ?? [0, 0]),
    timeout: checkInteger('timeout', options.timeout ?? 10_000, 1, MAX_MILLISECONDS),
    duration: checkInteger('duration', options.duration ?? 10_000, 1, MAX_MILLISECONDS),
    requests: checkInteger('requests', options.requests ?? 1_000_000, 1, MAX_REQUESTS),
    afterRefusal: checkAfterRefusal(options.afterRefusal ?? 'stop'),
    request: checkRequest(options.request ?? plainRequest(options.target, keepAlive)),
    localAddresses: checkAddresses(options.localAddresses ?? []),
    seed: checkInteger('seed', options.seed ?? 1, 0, 2 ** 32 - 1),
  };
}

function plainRequest(target: Target, keepAlive: boolean): Uint8Array {
  const connection = keepAlive ? '' : 'Connection: close\r\n';
  return Buffer.from(`GET / HTTP/1.1\r\nHost: ${authorityOf(target)}\r\n${connection}\r\n`);
}

function authorityOf(target: Target): string {
  if ('path' in target) return 'localhost';
  return net.isIPv6(target.host) ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`;
}

function checkTarget(target: Target): Target {
  if (typeof target !== 'object' || target === null) throw optionError('target', 'a host and port, or a path', target);
  if ('path' in target) {
    if (typeof target.path !== 'string' || target.path === '') throw optionError('target.path', 'a path', target.path);
    return { path: target.path };
  }
  if (net.isIP(target.host) === 0) throw optionError('target.host', 'an IP address', target.host);
  return { host: target.host, port: checkInteger('target.port', target.port, 1, 65_535) };
}

function checkPipeline(pipeline: number, keepAlive: boolean): number {
  if (pipeline !== 1 && !keepAlive) throw optionError('pipeline', '1 where connections are not kept', pipeline);
  return checkInteger('pipeline', pipeline, 1, MAX_PIPELINE);
}

function checkThinkTime(range: readonly [number, number]): readonly [number, number] {
  const valid = Array.isArray(range) && range.length === 2 && range.every((end) => Number.isFinite(end) && end >= 0);
  if (!valid || range[0] > range[1] || range[1] > MAX_MILLISECONDS) {
    throw optionError('thinkTime', 'two ascending numbers of ms', range);
  }
  return range;
}

function checkAfterRefusal(value: 'stop' | number): 'stop' | number {
  if (value === 'stop') return value;
  if (typeof value !== 'number') throw optionError('afterRefusal', "'stop' or a number of ms", value);
  return checkInteger('afterRefusal', value, 0, MAX_MILLISECONDS);
}

function checkRequest(bytes: Uint8Array): Uint8Array {
  if (bytes instanceof Uint8Array && bytes.length > 0) return bytes;
  throw optionError('request', 'a Uint8Array with bytes', bytes);
}

function checkAddresses(addresses: readonly string[]): readonly string[] {
  const valid = Array.isArray(addresses) && addresses.every((address) => net.isIP(address) !== 0);
  if (!valid) throw optionError('localAddresses', 'an array of IP addresses', addresses);
  return addresses;
}

function checkInteger(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  const kind = least === 0 ? 'a non-negative integer' : 'a positive integer';
  const bound = typeof value === 'number' && value > most ? ` of at most ${most}` : '';
  throw optionError(name, `${kind}${bound}`, value);
}
