import { SECOND_AFTER } from '../signals.ts';
import type { Command } from 'commander';
import { loadLibc, SystemCallError } from '../linux/libc.ts';
import { ignoreTerminalStops } from '../linux/terminal.ts';
import { holdProcess } from '../linux/process/pidfd.ts';
import { commandOf } from '../program/find/command-line.ts';
import { findTarget } from '../program/find/find-target.ts';
import { TARGET_FORMS } from '../program/find/target.ts';
import type { StopReport } from '../program/report.ts';
import { whyNoGates } from '../program/gate/program-gate.ts';
import type { StopOptions } from '../program/stop/options.ts';
import { stopProgram } from '../program/stop/stop-program.ts';
import { openGatesAgain } from '../program/stop/left-shut.ts';
import { startWatchdog, type Watchdog } from '../program/watchdog.ts';
import { CommandError, describeError, EXIT_COULD_NOT_RUN, EXIT_NO_RIGHT } from './command-error.ts';
import { describeResult, remarksOn } from './describe-stop.ts';
import { checkQueueWait, durationOption, queueWaitOption, signalName } from './option-values.ts';
import { ProgressLine } from './terminal/progress-line.ts';
import { checkReportFile, writeReport } from './write-report.ts';

interface StopCommandOptions {
  readonly signal: NodeJS.Signals;
  readonly deadline: number;
  readonly queueWait?: number;
  readonly kill?: boolean;
  readonly json?: boolean;
  readonly report?: string;
}

/** Adds `lastcall stop`. */
export function addStopCommand(program: Command): void {
  program
    .command('stop')
    .summary('stop any running program, without losing a client')
    .description(
      'Shuts the gates of a running program, waits until it has emptied its queues, and sends it its stop signal.\nUse it in a ' +
        'preStop hook, or as ExecStop=. Exit code: 0 if the program ended by itself; 1 if it was killed, is still running, or ' +
        'clients were lost or may have been; 2 for wrong options, or if there is no such program, or it must not be stopped; 77 ' +
        'without the right to signal it.',
    )
    .argument('<target>', TARGET_FORMS)
    .option('--signal <name>', 'the signal that stops the program, such as SIGQUIT for nginx', signalName, 'SIGTERM')
    .addOption(durationOption('--deadline', 'when the program must have ended', 30))
    .addOption(queueWaitOption())
    .option(
      '--kill',
      'kill the program if it is still running at the deadline; without --kill its gates are opened again',
    )
    .option('--report <file>', 'write the report to a file, as JSON')
    .option('--json', 'print the report as one JSON document')
    .action(stop);
}

async function stop(target: string, options: StopCommandOptions): Promise<void> {
  checkQueueWait(options);
  checkReportFile(options.report);
  const progress = new ProgressLine(process.stderr);
  const [now, giveUp] = [new AbortController(), new AbortController()];
  let interruptedAt: number | undefined;
  // A stop is not interrupted, only shortened: the program must not be left behind a shut gate.
  const interrupt = (): void => {
    now.abort();
    interruptedAt ??= performance.now();
    if (performance.now() - interruptedAt >= SECOND_AFTER) giveUp.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, interrupt);
  // The terminal is gone, or suspends background jobs: nobody has asked for haste.
  process.on('SIGHUP', () => {});
  ignoreTerminalStops();
  const report = await stopTarget(target, options, progress, { now: now.signal, giveUp: giveUp.signal });
  writeReport(report, options.report);
  process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : `${describeResult(report)}\n`);
  for (const remark of remarksOn(report)) process.stderr.write(`${remark}\n`);
  process.exitCode = report.outcome === 'complete' ? 0 : 1;
}

async function stopTarget(
  target: string,
  { signal, deadline, queueWait, kill: mayKill = false }: StopCommandOptions,
  progress: ProgressLine,
  interrupted: Pick<StopOptions, 'now' | 'giveUp'>,
): Promise<StopReport> {
  const loaded = loadLibc();
  if (!loaded.available) throw new CommandError(2, `Cannot stop a program: ${loaded.reason}`);
  const pid = findTarget(target, (sentence) => process.stderr.write(`lastcall: ${sentence}\n`));
  const held = hold(pid);
  const command = commandOf(pid);
  const noGates = whyNoGates(mayKill);
  const watchdog = noGates === undefined ? startWatchdog({ signal, target: pid, kills: mayKill }) : undefined;
  watchdog?.beginStop(deadline);
  process.on('uncaughtException', (error) => endByError(error, watchdog));
  progress.begin(`stopping ${pid}: ${command}`);
  try {
    return await stopProgram(
      { process: held, command, own: new Map(), kill: () => void held.signal('SIGKILL') },
      {
        reason: 'lastcall stop',
        signal,
        deadline,
        queueWait,
        mayKill,
        ...interrupted,
        noGates,
        onProgress: (phase, { queued, halfOpen, open }) =>
          progress.detail(`${phase}: ${queued} queued, ${halfOpen} half-open, ${open} connections`),
      },
    );
  } catch (error) {
    throw asCommandError(error, pid);
  } finally {
    progress.clear();
    watchdog?.dismiss();
    held.close();
  }
}

/** An error of ours that nobody expected. If a gate cannot be opened, the watchdog ends the program. */
function endByError(error: unknown, watchdog: Watchdog | undefined): never {
  if (openGatesAgain()) watchdog?.dismiss();
  process.stderr.write(`lastcall: ${describeError(error)}\n`);
  process.exit(EXIT_COULD_NOT_RUN);
}

function hold(pid: number): ReturnType<typeof holdProcess> {
  try {
    return holdProcess(pid);
  } catch (error) {
    throw asCommandError(error, pid);
  }
}

function asCommandError(error: unknown, pid: number): unknown {
  if (!(error instanceof SystemCallError) || error.code !== 'EPERM') return error;
  return new CommandError(
    EXIT_NO_RIGHT,
    `This user may not signal process ${pid}: run lastcall as the program's user, or as root`,
  );
}
