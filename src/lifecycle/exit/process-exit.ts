import { sharedInProcess } from '../../node/shared.ts';

/** The stops of this process, those of other copies of lastcall included: the last one exits. */
interface Stops {
  readonly underWay: Set<object>;
  isWanted: boolean;
  highest: number;
  /** What comes between the last stop and the exit, and the stop that it belongs to. */
  last: { readonly stop: object; readonly call: () => void } | undefined;
}

const stops = sharedInProcess<Stops>('stops', () => ({
  underWay: new Set(),
  isWanted: false,
  highest: 0,
  last: undefined,
}));

/** A stop that a signal or an error caused has begun. The process does not exit before it ends. */
export function delayExit(stop: object): void {
  stops.underWay.add(stop);
}

/**
 * The stop has ended. With an exit code, the process exits when no other stop is under way: with the highest code of all stops,
 * or with `process.exitCode` if that is 0. It does so in the next turn of the loop, after those who wait for the report.
 */
export function allowExit(stop: object, code: number | undefined): void {
  stops.underWay.delete(stop);
  if (code !== undefined) {
    stops.isWanted = true;
    stops.highest = Math.max(stops.highest, code);
  }
  setImmediate(exitUnlessStopping);
}

/**
 * The stop has ended, and `call` is called in place of the exit when no other stop is under way. The process then does not exit
 * before `allowExit`. Several stops may ask for this: the first one's is called. Returns whether this is the first one.
 */
export function allowLast(stop: object, call: () => void): boolean {
  stops.underWay.delete(stop);
  stops.last ??= { stop, call };
  setImmediate(exitUnlessStopping);
  return stops.last.stop === stop;
}

function exitUnlessStopping(): void {
  if (stops.underWay.size > 0) return;
  const { last, isWanted, highest } = stops;
  stops.last = undefined;
  if (last !== undefined) {
    // Another stop may have asked for the exit in this turn of the loop.
    stops.underWay.add(last.stop);
    return last.call();
  }
  if (!isWanted) return;
  // Node takes an `undefined` for 0, and ignores `process.exitCode`.
  if (highest === 0) process.exit();
  process.exit(highest);
}
