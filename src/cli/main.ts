#!/usr/bin/env node
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { messageOf } from '../linux/libc.ts';
import { TargetError } from '../program/find/target.ts';
import { CommandError, EXIT_NO_RIGHT } from './command-error.ts';
import { addDemoCommand } from './demo/demo.ts';
import { addDoctorCommand } from './doctor.ts';
import { addRunCommand } from './run.ts';
import { addStopCommand } from './stop.ts';
import { addWatchCommand } from './watch.ts';

/** The command could not do its work. */
const EXIT_COULD_NOT_RUN = 2;
/** The exit code that a shell gives to a program that SIGPIPE has ended. */
const EXIT_BROKEN_PIPE = 141;

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_BROKEN_PIPE);
  process.stderr.write(`lastcall: cannot write the result: ${error.message}\n`);
  process.exit(EXIT_COULD_NOT_RUN);
});

const manifest: { version: string } = createRequire(import.meta.url)('lastcall/package.json');

const program = new Command('lastcall')
  .description('Closes a listening socket without resetting anyone.')
  .version(manifest.version)
  .enablePositionalOptions()
  .exitOverride()
  .showHelpAfterError('Try --help.');
addRunCommand(program);
addStopCommand(program);
addWatchCommand(program);
addDoctorCommand(program);
addDemoCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

function exitCodeOf(error: unknown): number {
  // Commander has already printed the error, or the help.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_COULD_NOT_RUN;
  process.stderr.write(`lastcall: ${messageOf(error)}\n`);
  if (error instanceof CommandError) return error.exitCode;
  return error instanceof TargetError && error.fault === 'hidden' ? EXIT_NO_RIGHT : EXIT_COULD_NOT_RUN;
}
