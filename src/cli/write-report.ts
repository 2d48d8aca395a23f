import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../errors.ts';
import { CommandError } from './command-error.ts';

/** Checks before the work begins that the report can be written. Throws a `CommandError`. */
export function checkReportFile(file: string | undefined): void {
  if (file === undefined || descriptorAt(file) !== undefined) return;
  try {
    const there = statOf(file);
    if (there?.isDirectory() === true) throw new Error('it is a directory');
    if (there?.isBlockDevice() === true || there?.isSocket() === true) throw new Error('it is no file');
    accessSync(isStream(there) ? file : dirname(file), constants.W_OK);
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
    const fd = descriptorAt(file);
    if (fd !== undefined) writeToDescriptor(fd, text);
    else if (isStream(statOf(file))) writeToStream(file, text);
    else replaceFile(file, text);
  } catch (error) {
    process.stderr.write(`lastcall: Cannot write the report to ${file}: ${messageOf(error)}\n`);
  }
}

/** A descriptor that a path names: opening the path would empty a file, and fails for a socket. */
function descriptorAt(file: string): number | undefined {
  const named = ['/dev/stdin', '/dev/stdout', '/dev/stderr'].indexOf(file);
  if (named !== -1) return named;
  const [, fd] = /^(?:\/dev|\/proc\/self)\/fd\/(\d{1,5})$/.exec(file) ?? [];
  return fd === undefined ? undefined : Number(fd);
}

function writeToDescriptor(fd: number, text: string): void {
  if (fd === process.stdout.fd) process.stdout.write(text);
  else if (fd === process.stderr.fd) process.stderr.write(text);
  else writeFileSync(fd, text);
}

/** A named pipe, or a device such as a terminal, is written directly. A symbolic link is none of them: it is replaced. */
function isStream(there: Stats | undefined): boolean {
  return there?.isFIFO() === true || there?.isCharacterDevice() === true;
}

/** Never follows a link. A pipe that nobody reads causes ENXIO. */
function writeToStream(file: string, text: string): void {
  const fd = openSync(file, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    writeFileSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

/** In a folder such as /tmp others may have put links in place of a name that they can guess. */
function replaceFile(file: string, text: string): void {
  const beside = `${file}.${randomBytes(8).toString('hex')}.tmp`;
  writeFileSync(beside, text, { flag: 'wx' });
  try {
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

function statOf(file: string): Stats | undefined {
  return lstatSync(file, { throwIfNoEntry: false });
}
