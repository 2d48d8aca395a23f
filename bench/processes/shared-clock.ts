/** Milliseconds of CLOCK_MONOTONIC, which is the same in every process of the machine (performance.now() is not). */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
