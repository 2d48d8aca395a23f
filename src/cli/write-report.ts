import { renameSync, writeFileSync } from 'node:fs';

/** Writes a report where it was asked to; whoever watches the file sees the whole of it or nothing. Throws as fs does. */
export function writeReport(report: unknown, file: string | undefined): void {
  if (file === undefined) return;
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (file === '/dev/stdout' || file === '/dev/stderr' || file.startsWith('/dev/fd/')) return writeFileSync(file, text);
  const beside = `${file}.${process.pid}.tmp`;
  writeFileSync(beside, text);
  renameSync(beside, file);
}
