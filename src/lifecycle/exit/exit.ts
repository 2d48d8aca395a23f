const underWay = new Set<object>();
let isWanted = false;
let worst = 0;

/** A stop that a signal or an error asked for has begun: the process does not exit before it is over. */
export function noteStop(stop: object): void {
  underWay.add(stop);
}

/**
 * The stop is over. With an exit code the process is to exit: when no other stop is under way, with the highest of their codes,
 * else with `process.exitCode`. In the next turn of the loop, so that whoever waits for the report has it.
 */
export function noteStopOver(stop: object, code: number | undefined): void {
  underWay.delete(stop);
  if (code !== undefined) {
    isWanted = true;
    worst = Math.max(worst, code);
  }
  if (isWanted && underWay.size === 0) setImmediate(exitUnlessStopping);
}

function exitUnlessStopping(): void {
  if (underWay.size > 0) return;
  // Node takes an `undefined` for a wish to exit with 0.
  if (worst === 0) process.exit();
  process.exit(worst);
}
