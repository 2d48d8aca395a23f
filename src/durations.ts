const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/** How an error describes a duration. */
export const DURATION_FORM = 'a duration such as `20s`, `500ms` or `1m`';

/** Milliseconds of a duration as people write it; undefined for what is none. */
export function readDuration(text: string): number | undefined {
  const [, amount = '', unit = ''] = /^(\d{1,10}(?:\.\d{1,3})?)(ms|s|m)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  return factor === undefined ? undefined : Number(amount) * factor;
}
