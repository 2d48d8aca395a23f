#!/usr/bin/env node
import { messageOf } from '../errors.ts';
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { dropHungTerminal } from '../linux/terminal.ts';
import { TargetError } from '../program/find/target.ts';
import { CommandError, EXIT_COULD_NOT_RUN, EXIT_NO_RIGHT } from './command-error.ts';
import { addDemoCommand } from './demo/demo.ts';
import { addDoctorCommand } from './doctor.ts';
import { addRunCommand } from './run.ts';
import { addStopCommand } from './stop.ts';
import { addWatchCommand } from './watch.ts';

/** The exit code that a shell gives to a program that SIGPIPE has ended. */
const EXIT_BROKEN_PIPE = 141;

/** What they print is not their result. They must go on when the reader, or the terminal, is gone. */
const WORK_IN_SILENCE: readonly string[] = ['run', 'stop'];

process.once('exit', dropHungTerminal);
// A stream that fails again and again emits one error.
process.stderr.on('error', () => {});
// So are the help and the version.
let isResultPrinted = true;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') process.stderr.write(`lastcall: cannot write the result: ${error.message}\n`);
  if (isResultPrinted) process.exit(error.code === 'EPIPE' ? EXIT_BROKEN_PIPE : EXIT_COULD_NOT_RUN);
});

const manifest: { version: string } = createRequire(import.meta.url)('lastcall/package.json');

const program = new Command('lastcall')
  .description('Closes a listening socket without resetting anyone.')
  .version(manifest.version)
  .enablePositionalOptions()
  .exitOverride()
  .showHelpAfterError('Try --help.')
  .hook('preAction', (_, command) => {
    isResultPrinted = !WORK_IN_SILENCE.includes(command.name());
  });
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
