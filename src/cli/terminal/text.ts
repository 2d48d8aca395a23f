/** Aligns rows in columns: the first column to the left, the others to the right. */
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

/** Colours a cell after padding, so that the bytes of the colour do not count as width. */
export type PaintCell = (padded: string, row: number, column: number) => string;

/** Whether standard output is a terminal with colours, and NO_COLOR is not set (no-color.org). */
export function mayColour(): boolean {
  return process.stdout.isTTY && process.stdout.hasColors() && (process.env.NO_COLOR ?? '') === '';
}
