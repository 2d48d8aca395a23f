import { accessSync, constants, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CommandError } from './command-error.ts';

/** Before anything is begun: whether the report can be written there. Throws a `CommandError`. */
export function checkReportFile(file: string | undefined): void {
  if (file === undefined) return;
  try {
    accessSync(isStream(file) ? file : dirname(file), constants.W_OK);
    if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true) throw new Error('it is a directory');
  } catch (error) {
    throw new CommandError(2, `Cannot write the report to ${file}: ${messageOf(error)}`);
  }
}

/**
 * Writes a report where it was asked to; whoever watches the file sees the whole of it or nothing. What cannot be written is told
 * on standard error: the exit code is about the program.
 */
export function writeReport(report: unknown, file: string | undefined): void {
  if (file === undefined) return;
  const text = `${JSON.stringify(report, null, 2)}\n`;
  try {
    if (isStream(file)) return writeFileSync(file, text);
    const beside = `${file}.${process.pid}.tmp`;
    writeFileSync(beside, text);
    renameSync(beside, file);
  } catch (error) {
    process.stderr.write(`lastcall: Cannot write the report to ${file}: ${messageOf(error)}\n`);
  }
}

/** A pipe or a terminal has nothing to be renamed. */
function isStream(file: string): boolean {
  return file.startsWith('/dev/');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
