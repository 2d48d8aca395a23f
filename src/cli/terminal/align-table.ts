/** Lays rows out in columns: the first to the left, the others, which are numbers, to the right. */
export function alignTable(
  rows: readonly (readonly string[])[],
  paint: PaintCell = (text) => text,
  gap: string = '   ',
): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row, rowIndex) =>
    row
      .map((text, column) => {
        const width = widths[column] ?? 0;
        const padded = column === 0 ? text.padEnd(width) : text.padStart(width);
        return paint(padded, rowIndex, column);
      })
      .join(gap),
  );
}

/** Colours a cell that is padded already, so that the colour's own bytes do not count as its width. */
export type PaintCell = (padded: string, row: number, column: number) => string;
