const underWay = new Set<object>();
let isWanted = false;
let highest = 0;

/** A stop that a signal or an error caused has begun. The process does not exit before it ends. */
export function delayExit(stop: object): void {
  underWay.add(stop);
}

/**
 * The stop has ended. With an exit code, the process exits when no other stop is under way: with the highest code of all stops,
 * or with `process.exitCode` if that is 0. It does so in the next turn of the loop, after those who wait for the report.
 */
export function allowExit(stop: object, code: number | undefined): void {
  underWay.delete(stop);
  if (code !== undefined) {
    isWanted = true;
    highest = Math.max(highest, code);
  }
  if (isWanted && underWay.size === 0) setImmediate(exitUnlessStopping);
}

function exitUnlessStopping(): void {
  if (underWay.size > 0) return;
  // Node takes an `undefined` for 0, and ignores `process.exitCode`.
  if (highest === 0) process.exit();
  process.exit(highest);
}
