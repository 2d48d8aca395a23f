const BLOCKS = '▁▂▃▄▅▆▇█';

/** Draws numbers as blocks up to the height of `most`. Zero is a space, so that small numbers stay visible. */
export function sparkline(values: readonly number[], most: number = Math.max(0, ...values)): string {
  return values.map((value) => blockOf(value, most)).join('');
}

function blockOf(value: number, most: number): string {
  if (value <= 0 || most <= 0) return ' ';
  const height = Math.ceil((Math.min(value, most) / most) * BLOCKS.length);
  return BLOCKS[height - 1] ?? ' ';
}

/** Reduces numbers to `width`: the largest of each stretch, the newest last. Pads fewer numbers with zeros at the front. */
export function squeeze(values: readonly number[], width: number): readonly number[] {
  if (values.length <= width) return [...Array.from({ length: width - values.length }, () => 0), ...values];
  return Array.from({ length: width }, (_, column) => {
    const from = Math.floor((column * values.length) / width);
    const to = Math.floor(((column + 1) * values.length) / width);
    return Math.max(...values.slice(from, to));
  });
}
