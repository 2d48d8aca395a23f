import type { Spread } from './statistics.ts';

/** The median with the least and the greatest value. */
export function withExtremes({ median, least, most }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)} – ${most.toFixed(digits)})`;
}

/** The median with the values that the true one lies between, 95 times in 100. */
export function withInterval({ median, low, high }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${low.toFixed(digits)} – ${high.toFixed(digits)})`;
}
