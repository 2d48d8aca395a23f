import type { Command } from 'commander';
import { SystemCallError } from '../linux/libc.ts';
import { exitAtOnce } from '../linux/process/exit.ts';
import { ignoreTerminalStops } from '../linux/terminal.ts';
import type { SocketAddress } from '../linux/sockets.ts';
import { printableName } from '../program/find/find-listeners.ts';
import { passedToUs } from '../program/find/passed-to.ts';
import { ListenError, type OpenSockets, openSockets } from '../program/run/open-sockets.ts';
import { type RunResult, runProgram } from '../program/run/run-program.ts';
import { runSignals } from '../program/run/signals.ts';
import { isNode } from '../program/run/start-program.ts';
import { CommandError, describeError } from './command-error.ts';
import { describeStop } from './describe-stop.ts';
import { checkQueueWait, durationOption, listenAddress, queueWaitOption, signalName } from './option-values.ts';
import { ProgressLine } from './terminal/progress-line.ts';
import { checkReportFile, writeReport } from './write-report.ts';

interface RunCommandOptions {
  readonly signal: NodeJS.Signals;
  readonly deadline: number;
  readonly queueWait?: number;
  readonly lameDuck: number;
  readonly report?: string;
  readonly inside?: boolean;
  readonly listen?: readonly SocketAddress[];
  readonly quiet?: boolean;
}

/** The exit codes of shells for a command that cannot be run, and for one that does not exist. */
const EXIT_NOT_EXECUTABLE = 126;
const EXIT_NOT_FOUND = 127;

/** Adds `lastcall run`. */
export function addRunCommand(program: Command): void {
  program
    .command('run')
    .summary('run any program, and stop it without losing a client')
    .description(
      'Runs a program as its parent, or as PID 1. At SIGTERM, SIGINT or --signal it shuts the gates of its listeners, waits ' +
        'until the program has emptied its queues, sends it its stop signal, and kills what is left at the deadline.\nExit code: the ' +
        "program's own, or 128 plus the number of the signal that ended it; 126 if it cannot be run; 127 if there is no such " +
        'command; 2 for wrong options.',
    )
    .argument('<command>', 'the program')
    .argument('[args...]', 'its arguments; put -- before the program if they begin with dashes')
    .option('--signal <name>', 'the signal that stops the program, such as SIGQUIT for nginx', signalName, 'SIGTERM')
    .addOption(durationOption('--deadline', 'time for the stop, after the lame duck; then what is left is killed', 30))
    .addOption(queueWaitOption())
    .addOption(durationOption('--lame-duck', 'how long to keep serving before the gates are shut', 0))
    .option(
      '--listen <address>',
      'open a listener and pass it to the program as LISTEN_FDS; may be repeated',
      addListen,
    )
    .option('--inside', 'for Node: the program stops itself by lastcall/register (default if the command is node)')
    .option('--no-inside', 'stop a Node program from outside, too')
    .option('--report <file>', 'write the report of the stop to a file, as JSON')
    .option('--quiet', 'print nothing about a stop that completed')
    .passThroughOptions()
    .action(run);
}

function addListen(text: string, before: readonly SocketAddress[] = []): readonly SocketAddress[] {
  return [...before, listenAddress(text)];
}

async function run(command: string, args: readonly string[], options: RunCommandOptions): Promise<void> {
  checkQueueWait(options);
  checkReportFile(options.report);
  const progress = new ProgressLine(process.stderr);
  const sockets = await open(options.listen ?? []);
  const opened = sockets.descriptors;
  // The program lives on: without its parent it would be killed, with the clients that it serves.
  process.on('uncaughtException', (error) => {
    process.stderr.write(`lastcall: ${describeError(error)}\n`);
  });
  // Who asks again and again takes neither the report nor the exit code: lastcall listens until it is gone.
  for (const name of runSignals(options.signal).asking) process.on(name, () => {});
  process.once('exit', exitAtOnce);
  let result: RunResult;
  try {
    result = await runProgram({
      command,
      args,
      signal: options.signal,
      deadline: options.deadline,
      queueWait: options.queueWait,
      lameDuck: options.lameDuck,
      inside: options.inside ?? isNode(command),
      register: import.meta.resolve('lastcall/register'),
      listeners: [...passedToUs(), ...opened],
      opened,
      env: environment(options),
      onAsked: ignoreTerminalStops,
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

/** A Node program that stops itself gets the same time, and stops itself at the signal that it gets. */
function environment({ deadline, lameDuck, signal }: RunCommandOptions): NodeJS.ProcessEnv {
  const names = (process.env.LASTCALL_SIGNALS || 'SIGTERM,SIGINT').split(',').map((name) => name.trim());
  const follows = names.includes(signal) || !runSignals(signal).asking.includes(signal);
  return {
    LASTCALL_DEADLINE: `${Math.max(1, Math.floor(deadline - lameDuck))}ms`,
    ...process.env,
    ...(follows ? {} : { LASTCALL_SIGNALS: [...names, signal].join(',') }),
  };
}

async function open(addresses: readonly SocketAddress[]): Promise<OpenSockets> {
  try {
    return await openSockets(addresses);
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    throw new CommandError(2, `Cannot listen on ${printableName(error.address)}: ${error.message}`);
  }
}

function asCommandError(error: unknown, command: string): unknown {
  if (error instanceof SystemCallError || !(error instanceof Error) || !('code' in error)) return error;
  if (error.code === 'ENOENT') return new CommandError(EXIT_NOT_FOUND, `${command}: there is no such command`);
  if (error.code === 'EACCES') return new CommandError(EXIT_NOT_EXECUTABLE, `${command}: it cannot be run (EACCES)`);
  return error;
}
