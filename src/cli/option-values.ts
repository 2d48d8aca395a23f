import { isSignal } from '../signals.ts';
import net from 'node:net';
import { constants } from 'node:os';
import { InvalidArgumentError, Option } from 'commander';
import { CommandError } from './command-error.ts';
import { DURATION_FORM, readDuration } from '../durations.ts';
import type { SocketAddress } from '../linux/sockets.ts';

// The longest time of a timer, in ms.
const LONGEST = 2 ** 31 - 1;

/** An option for a duration in ms. Its default, if any, is in seconds. */
export function durationOption(name: string, description: string, seconds?: number): Option {
  const option = new Option(`${name} <duration>`, description).argParser(duration);
  return seconds === undefined ? option : option.default(seconds * 1_000, `${seconds}s`);
}

/** The option for how long to wait for the queues. Without it, a third of the deadline. */
export function queueWaitOption(): Option {
  const what = 'the longest wait until the queues are empty and no client waits for an answer';
  return durationOption('--queue-wait', `${what} (default: a third of the deadline)`);
}

/** Throws a `CommandError` if the wait for the queues leaves no time for the stop. */
export function checkQueueWait({ queueWait, deadline }: { queueWait?: number; deadline: number }): void {
  if (queueWait === undefined || queueWait < deadline) return;
  throw new CommandError(2, `Expected a --queue-wait below the --deadline, ${deadline / 1_000}s`);
}

/** Parses `30s`, `500ms` or `1m` into ms. */
function duration(text: string): number {
  const milliseconds = readDuration(text);
  if (milliseconds !== undefined && milliseconds <= LONGEST) return milliseconds;
  throw new InvalidArgumentError(`Expected ${DURATION_FORM}.`);
}

/** Parses `SIGTERM`, `TERM` or `15`. */
export function signalName(text: string): NodeJS.Signals {
  const wanted = text.toUpperCase().replace(/^SIG/, '');
  const found = Object.entries(constants.signals).find(
    ([name, number]) => name === `SIG${wanted}` || String(number) === text,
  );
  if (isSignal(found?.[0])) return found[0];
  throw new InvalidArgumentError('Expected the name or the number of a signal, such as SIGQUIT.');
}

/** Parses the address of `--listen`. A port without an address means all addresses, IPv6 and IPv4. */
export function listenAddress(text: string): SocketAddress {
  const [, path] = /^unix:([/@].+)$/.exec(text) ?? [];
  if (path !== undefined) return { family: 'Unix', path: path.replace(/^@/, '\0') };
  const [, host, digits = ''] = /^tcp:(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const address = host?.replaceAll(/^\[|\]$/g, '') ?? '::';
  const family = net.isIP(address);
  if (digits === '' || port > 65_535 || family === 0) {
    throw new InvalidArgumentError('Expected tcp:8080, tcp:127.0.0.1:8080, tcp:[::1]:8080 or unix:/run/app.sock.');
  }
  return { family: family === 4 ? 'IPv4' : 'IPv6', address, port };
}

/** Makes a parser of whole numbers in a range. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
  };
}
