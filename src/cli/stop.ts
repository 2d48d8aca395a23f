import type { Command } from 'commander';
import { loadLibc, SystemCallError } from '../linux/libc.ts';
import { holdProcess } from '../linux/process/pidfd.ts';
import { commandOf } from '../program/find/command-of.ts';
import { findTarget } from '../program/find/find-target.ts';
import { startKeeper } from '../program/watchdog.ts';
import type { StopReport } from '../program/report.ts';
import { type StopOptions, stopProgram, whyNoGates } from '../program/stop/stop-program.ts';
import { CommandError, EXIT_NO_RIGHT } from './command-error.ts';
import { durationOption, signalName } from './option-values.ts';
import { ProgressLine } from './terminal/progress-line.ts';
import { describeStop } from './stop-words.ts';
import { checkReportFile, writeReport } from './write-report.ts';

interface StopCommandOptions {
  readonly signal: NodeJS.Signals;
  readonly deadline: number;
  readonly kill?: boolean;
  readonly json?: boolean;
  readonly report?: string;
}

/** A second Ctrl-C means now; a supervisor that sends two signals in a row does not. In ms. */
const SECOND_AFTER = 500;

/** Adds `lastcall stop`. */
export function addStopCommand(program: Command): void {
  program
    .command('stop')
    .summary('stop a running program of any kind, without losing a client')
    .description(
      'Shuts the gates of a program that runs already, waits until it has emptied its queues, and sends it the signal that it ' +
        'knows.\nFor a preStop hook or ExecStop=. Exit code: 0 if it has ended by itself; 1 if it was killed, or lives on; 2 if ' +
        'there is no such program, or it must not be stopped; 77 without the right to.',
    )
    .argument('<target>', 'a process (12345), a port (:8080) or a Unix path (/run/app.sock)')
    .option('--signal <name>', 'what the program is sent to stop, such as SIGQUIT for nginx', signalName, 'SIGTERM')
    .addOption(durationOption('--deadline', 'when it has to have ended', 30))
    .option('--kill', 'kill it if it lives on at the deadline; without that its gates are opened again')
    .option('--report <file>', 'write the report to a file, as JSON')
    .option('--json', 'print the report as one JSON document')
    .action(stop);
}

async function stop(target: string, options: StopCommandOptions): Promise<void> {
  checkReportFile(options.report);
  const progress = new ProgressLine(process.stderr);
  const [now, enough] = [new AbortController(), new AbortController()];
  let interruptedAt: number | undefined;
  // A stop that was begun is finished, sooner: a program must not be left behind a shut gate.
  const interrupt = (): void => {
    now.abort();
    interruptedAt ??= performance.now();
    if (performance.now() - interruptedAt >= SECOND_AFTER) enough.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt);
  const report = await stopTarget(target, options, progress, { now: now.signal, enough: enough.signal });
  writeReport(report, options.report);
  process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : `${describeStop(report)}\n`);
  process.exitCode = report.outcome === 'complete' ? 0 : 1;
}

async function stopTarget(
  target: string,
  { signal, deadline, kill: mayKill = false }: StopCommandOptions,
  progress: ProgressLine,
  interrupted: Pick<StopOptions, 'now' | 'enough'>,
): Promise<StopReport> {
  const loaded = loadLibc();
  if (!loaded.available) throw new CommandError(2, `No program can be stopped from outside: ${loaded.reason}`);
  const pid = findTarget(target);
  const held = hold(pid);
  const command = commandOf(pid);
  const noGates = whyNoGates(mayKill);
  const keeper = noGates === undefined ? startKeeper({ signal, target: pid, kills: mayKill }) : undefined;
  progress.begin(`stopping ${pid}: ${command}`);
  try {
    return await stopProgram(
      { process: held, command, own: new Map(), leavesNobody: false, kill: () => void held.signal('SIGKILL') },
      {
        reason: 'lastcall stop',
        signal,
        deadline,
        mayKill,
        ...interrupted,
        noGates,
        onProgress: (phase, { queued, halfOpen, open }) =>
          progress.detail(`${phase}: ${queued} queued, ${halfOpen} half-open, ${open} connections`),
      },
    );
  } catch (error) {
    throw asRight(error, pid);
  } finally {
    progress.clear();
    keeper?.dismiss();
    held.close();
  }
}

function hold(pid: number): ReturnType<typeof holdProcess> {
  try {
    return holdProcess(pid);
  } catch (error) {
    throw asRight(error, pid);
  }
}

function asRight(error: unknown, pid: number): unknown {
  if (!(error instanceof SystemCallError) || error.code !== 'EPERM') return error;
  return new CommandError(
    EXIT_NO_RIGHT,
    `Process ${pid} may not be signalled by this user: run it as the program's own user, or as root`,
  );
}
