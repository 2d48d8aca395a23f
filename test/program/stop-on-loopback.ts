import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dumpHalfOpen } from '../../src/linux/tables/inet-diag.ts';
import { findTree } from '../../src/program/find/process-tree.ts';
import type { StopReport } from '../../src/program/report.ts';
import type { StormResult } from '../../src/storm/storm.ts';
import { makeFolder } from '../harness/folders.ts';
import { startLastcall, TO_GATE } from '../harness/lastcall-command.ts';
import { freePort, queuedAt, untilAccepted } from '../harness/ports.ts';
import { type Ended, startCommand, type TestProcess } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';
import { stopInStorm } from '../harness/storms.ts';
import { connectHalfOpen } from './half-open-clients.ts';
import type { ForeignProgram } from './programs.ts';

/** `run`: by lastcall as its parent. `stop`: by another lastcall process. `plainly`: by the signal alone. */
export type Way = 'run' | 'stop' | 'plainly';

/** How many clients are half-open when the program is stopped, beside the storm. */
export const HALF_OPEN = 20;

/** The result of a stop. */
export interface Stopped {
  readonly result: StormResult;
  /** How many clients were half-open when the stop began. */
  readonly wereHalfOpen: number;
  /** The outcome of each half-open client. */
  readonly halfOpen: readonly string[];
  /** How the program ended, or lastcall as its parent. */
  readonly program: Ended;
  /** How lastcall ended; for `run`, the same as `program`. */
  readonly command: Ended;
  /** Undefined for a stop by the signal alone. */
  readonly report: StopReport | undefined;
}

/**
 * Stops a program under a storm of clients. Its processes are held still until most clients wait in its accept queue, and some
 * are half-open. They continue when the gate is shut, or, in a plain stop, when the signal is pending.
 */
export async function stopOnLoopback(program: ForeignProgram, way: Way): Promise<Stopped> {
  await using scope = new Scope();
  const folder = scope.use(makeFolder()).path;
  const target = { host: '127.0.0.1', port: await freePort() };
  const { port } = target;
  const line = program.line({ ...target, folder });
  const file = join(folder, 'report.json');
  const options = ['--signal', program.signal, '--report', file];
  const running = scope.use(
    way === 'run'
      ? startLastcall(['run', '--no-inside', ...options, '--', ...line])
      : startCommand(line, { stdio: 'ignore' }),
  );
  await untilAccepted(target);
  const silent = scope.use(await connectHalfOpen(running.pid, port, HALF_OPEN));
  let command: TestProcess = running;
  let wereHalfOpen = 0;
  const stop = async (): Promise<void> => {
    wereHalfOpen = dumpHalfOpen('IPv4').filter(({ localPort }) => localPort === port).length;
    if (way === 'stop') command = scope.use(startLastcall(['stop', `:${port}`, ...TO_GATE, ...options]));
    else running.signal(way === 'run' ? 'SIGTERM' : program.signal);
    if (way !== 'plainly') await untilAccepted(target, false);
  };
  const held = {
    get pids() {
      // Lastcall itself keeps running.
      return [...findTree(running.pid)].filter((pid) => way !== 'run' || pid !== running.pid);
    },
    waiting: () => queuedAt(port),
  };
  const result = await stopInStorm(port, stop, { held });
  // The gate is shut, or the listener closed.
  await untilAccepted(target, false);
  silent.ask();
  const halfOpen = await silent.outcomes;
  const [ended, commandEnded] = await Promise.all([running.ended, command.ended]);
  const report = way === 'plainly' ? undefined : JSON.parse(readFileSync(file, 'utf8'));
  return { result, wereHalfOpen, halfOpen, program: ended, command: commandEnded, report };
}
