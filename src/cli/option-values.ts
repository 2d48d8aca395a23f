import { constants } from 'node:os';
import { InvalidArgumentError, Option } from 'commander';
import { DURATION_FORM, readDuration } from '../durations.ts';

// What a timer can wait.
const LONGEST = 2 ** 31 - 1;

/** An option for a duration, read as milliseconds, whose default is so many seconds, if it has one. */
export function durationOption(name: string, description: string, seconds?: number): Option {
  const option = new Option(`${name} <duration>`, description).argParser(duration);
  return seconds === undefined ? option : option.default(seconds * 1_000, `${seconds}s`);
}

/** Milliseconds of `30s`, `500ms`, `1m`. */
function duration(text: string): number {
  const milliseconds = readDuration(text);
  if (milliseconds !== undefined && milliseconds <= LONGEST) return milliseconds;
  throw new InvalidArgumentError(`Expected ${DURATION_FORM}.`);
}

/** `SIGTERM`, `TERM` or `15`. */
export function signalName(text: string): NodeJS.Signals {
  const wanted = text.toUpperCase().replace(/^SIG/, '');
  const found = Object.entries(constants.signals).find(
    ([name, number]) => name === `SIG${wanted}` || String(number) === text,
  );
  if (found !== undefined && isSignal(found[0])) return found[0];
  throw new InvalidArgumentError('Expected the name or the number of a signal, such as SIGQUIT.');
}

function isSignal(name: string): name is NodeJS.Signals {
  return name in constants.signals;
}
