const stopping = new Set<object>();
let worst = 0;

/** A stop that ends the process has begun: the process does not exit before it is over. */
export function expectExitOf(stop: object): void {
  stopping.add(stop);
}

/**
 * The stop is over: the process exits when no other one is under way, with the highest of their codes, else with
 * `process.exitCode`. In the next turn of the loop, so that whoever waits for the report has it.
 */
export function exitAfter(stop: object, code: number): void {
  stopping.delete(stop);
  worst = Math.max(worst, code);
  if (stopping.size > 0) return;
  setImmediate(() => {
    if (stopping.size > 0) return;
    // Node 20 takes an `undefined` for a wish to exit with 0.
    if (worst === 0) process.exit();
    process.exit(worst);
  });
}
