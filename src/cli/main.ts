#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { addDemoCommand } from './demo.ts';

/** For whoever called: the command could not do what it was asked to. */
const EXIT_COULD_NOT_RUN = 2;

const program = new Command('lastcall')
  .description('Closes a listening socket without resetting anyone.')
  .exitOverride()
  .showHelpAfterError('Try --help.');
addDemoCommand(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

function exitCodeOf(error: unknown): number {
  // Commander has said what is wrong, or shown the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_COULD_NOT_RUN;
  process.stderr.write(`lastcall: ${error instanceof Error ? error.message : String(error)}\n`);
  return EXIT_COULD_NOT_RUN;
}
