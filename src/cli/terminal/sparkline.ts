const BLOCKS = '▁▂▃▄▅▆▇█';

/** Draws numbers as blocks of their height, the largest `most` or itself; nothing is a space, so that little is seen. */
export function sparkline(values: readonly number[], most: number = Math.max(0, ...values)): string {
  return values.map((value) => blockOf(value, most)).join('');
}

function blockOf(value: number, most: number): string {
  if (value <= 0 || most <= 0) return ' ';
  const height = Math.ceil((Math.min(value, most) / most) * BLOCKS.length);
  return BLOCKS[height - 1] ?? ' ';
}

/** So many numbers of more: the largest of each stretch, the newest last. Fewer are filled up with nothing at the front. */
export function squeeze(values: readonly number[], width: number): readonly number[] {
  if (values.length <= width) return [...Array.from({ length: width - values.length }, () => 0), ...values];
  return Array.from({ length: width }, (_, column) => {
    const from = Math.floor((column * values.length) / width);
    const to = Math.floor(((column + 1) * values.length) / width);
    return Math.max(...values.slice(from, to));
  });
}
