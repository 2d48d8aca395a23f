import type { Command } from 'commander';
import { SystemCallError } from '../linux/libc.ts';
import type { SocketAddress } from '../linux/sockets.ts';
import { nameOf } from '../program/find/find-listeners.ts';
import { ListenError, type OpenSockets, openSockets } from '../program/run/open-sockets.ts';
import { passedToUs } from '../program/find/passed-to.ts';
import { type RunResult, runProgram } from '../program/run/run-program.ts';
import { isNode } from '../program/run/start-program.ts';
import { CommandError } from './command-error.ts';
import { listenAddress } from './listen-address.ts';
import { durationOption, signalName } from './option-values.ts';
import { ProgressLine } from './terminal/progress-line.ts';
import { describeStop } from './stop-words.ts';
import { checkReportFile, writeReport } from './write-report.ts';

interface RunCommandOptions {
  readonly signal: NodeJS.Signals;
  readonly deadline: number;
  readonly lameDuck: number;
  readonly report?: string;
  readonly inside?: boolean;
  readonly listen?: readonly SocketAddress[];
  readonly quiet?: boolean;
}

/** What shells say of a command that is there and cannot be run, and of one that is not there. */
const EXIT_NOT_EXECUTABLE = 126;
const EXIT_NOT_FOUND = 127;
// More than net.core.somaxconn allows anywhere we have met; the kernel takes the lesser of the two.
const BACKLOG = 4_096;

/** Adds `lastcall run`. */
export function addRunCommand(program: Command): void {
  program
    .command('run')
    .summary('run a program of any kind, and stop it without losing a client')
    .description(
      'Runs a program as its parent, or as PID 1. On SIGTERM or SIGINT: shuts the gates of its listeners, waits until it has ' +
        'emptied its queues, sends it the signal that it knows, and kills what is left at the deadline.\nExit code: the ' +
        "program's own, or 128 and the number of the signal that ended it; 126 if it cannot be run, 127 if there is no such " +
        'command, 2 if lastcall itself was asked for something impossible.',
    )
    .argument('<command>', 'the program')
    .argument('[args...]', 'its arguments; put -- before the program if they have dashes')
    .option('--signal <name>', 'what the program is sent to stop, such as SIGQUIT for nginx', signalName, 'SIGTERM')
    .addOption(durationOption('--deadline', 'from the signal until what is left is killed', 30))
    .addOption(durationOption('--lame-duck', 'how long to serve on before the gates are shut', 0))
    .option('--listen <address>', 'open a listener and pass it on as LISTEN_FDS; again and again', addListen)
    .option('--inside', 'a Node program: it stops itself by lastcall/register (default where the command is node)')
    .option('--no-inside', 'stop a Node program from outside, too')
    .option('--report <file>', 'write the report of a stop to a file, as JSON')
    .option('--quiet', 'say nothing about a stop that went well')
    .passThroughOptions()
    .action(run);
}

function addListen(text: string, before: readonly SocketAddress[] = []): readonly SocketAddress[] {
  return [...before, listenAddress(text)];
}

async function run(command: string, args: readonly string[], options: RunCommandOptions): Promise<void> {
  checkReportFile(options.report);
  const progress = new ProgressLine(process.stderr);
  const sockets = await open(options.listen ?? []);
  const opened = sockets.descriptors;
  let result: RunResult;
  try {
    result = await runProgram({
      command,
      args,
      signal: options.signal,
      deadline: options.deadline,
      lameDuck: options.lameDuck,
      inside: options.inside ?? isNode(command),
      register: import.meta.resolve('lastcall/register'),
      listeners: [...passedToUs(), ...opened],
      opened,
      env: environment(options),
      onProgress: (phase, { queued, halfOpen, open: connections }) => {
        if (!process.stderr.isTTY) return;
        progress.begin(`lastcall: ${phase}`);
        progress.detail(`${queued} queued, ${halfOpen} half-open, ${connections} connections`);
      },
    });
  } catch (error) {
    throw asCommandError(error, command);
  } finally {
    sockets.close();
  }
  progress.clear();
  const { report, exitCode } = result;
  process.exitCode = exitCode;
  if (report === undefined) return;
  if (!options.quiet || report.outcome !== 'complete') process.stderr.write(`lastcall: ${describeStop(report)}\n`);
  writeReport(report, options.report);
}

/** A Node program that stops itself has the same time. */
function environment({ deadline, lameDuck }: RunCommandOptions): NodeJS.ProcessEnv {
  return {
    LASTCALL_DEADLINE: `${Math.max(1, Math.floor(deadline - lameDuck))}ms`,
    ...process.env,
  };
}

async function open(addresses: readonly SocketAddress[]): Promise<OpenSockets> {
  try {
    return await openSockets(addresses, BACKLOG);
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    throw new CommandError(2, `Cannot listen on ${nameOf(error.address)}: ${error.message}`);
  }
}

function asCommandError(error: unknown, command: string): unknown {
  if (error instanceof SystemCallError || !(error instanceof Error) || !('code' in error)) return error;
  if (error.code === 'ENOENT') return new CommandError(EXIT_NOT_FOUND, `${command}: there is no such command`);
  if (error.code === 'EACCES') return new CommandError(EXIT_NOT_EXECUTABLE, `${command}: it cannot be run (EACCES)`);
  return error;
}
