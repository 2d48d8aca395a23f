import { accessSync, constants, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../linux/libc.ts';
import { CommandError } from './command-error.ts';

/** Checks before the work begins that the report can be written. Throws a `CommandError`. */
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
 * Writes a report to a file, whole or not at all. An error goes to standard error and does not change the exit code, which is
 * the result of the stop.
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

/** A pipe or a terminal is written directly, without a rename. */
function isStream(file: string): boolean {
  return file.startsWith('/dev/');
}
