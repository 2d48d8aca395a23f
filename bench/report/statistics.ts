/** The middle value, of an even number of values the mean of the two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const upper = Math.floor(sorted.length / 2);
  const middle = sorted.length % 2 === 1 ? [sorted[upper]] : [sorted[upper - 1], sorted[upper]];
  return middle.reduce<number>((sum, value) => sum + (value ?? Number.NaN), 0) / middle.length;
}

/** A median with the least and the greatest value. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly count: number;
  /** Between these the true median lies, 95 times in 100. */
  readonly low: number;
  readonly high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((left, right) => left - right);
  // The ranks n/2 -+ 1.96 sqrt(n)/2 of the sign test; with few values that is the least and the greatest.
  const rank = Math.max(0, Math.floor(sorted.length / 2 - 0.98 * Math.sqrt(sorted.length)));
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  return {
    median: median(values),
    least: at(0),
    most: at(sorted.length - 1),
    count: sorted.length,
    low: at(rank),
    high: at(sorted.length - 1 - rank),
  };
}
