import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { parseRunPipe, RUN_CHANNEL, type RunMessage, type RunPipe } from '../run-channel.ts';

let pipe: RunPipe | undefined;
let hasTold = false;

/** Remembers the pipe of `lastcall run`, if it has started this program. An inherited descriptor is not for child processes. */
export function findRun(): void {
  const text = process.env[RUN_CHANNEL];
  pipe = parseRunPipe(text);
  if (pipe === undefined) return;
  setEnvironmentData(RUN_CHANNEL, text);
  if (typeof pipe.at === 'number') delete process.env[RUN_CHANNEL];
}

/** In a worker thread: tells `lastcall run` as soon as a server listens here, which nobody drains. */
export function tellRunOfThreads(): void {
  const text = getEnvironmentData(RUN_CHANNEL);
  pipe = parseRunPipe(typeof text === 'string' ? text : undefined);
  if (pipe === undefined) return;
  const onListening = (): void => {
    unsubscribe('tracing:net.server.listen:asyncEnd', onListening);
    tell('thread');
  };
  subscribe('tracing:net.server.listen:asyncEnd', onListening);
}

/** Tells `lastcall run` that servers listen here, which this process drains, and then the outcome of each close. */
export function tellRunOfService(): void {
  delete process.env[RUN_CHANNEL];
  if (pipe === undefined || hasTold) return;
  hasTold = true;
  tell('service');
  subscribe('lastcall:closed', (report) => tellOutcome(report));
}

/** Tells `lastcall run` the outcome of a close. */
export function tellOutcome(report: unknown): void {
  const { outcome }: { readonly outcome?: unknown } = Object(report);
  if (outcome === 'complete' || outcome === 'forced') tell(outcome);
}

/** Never throws, never blocks: without an answer `lastcall run` stops the program from outside. */
function tell(message: RunMessage): void {
  if (pipe === undefined) return;
  const { at, inode } = pipe;
  try {
    const fd = typeof at === 'number' ? at : openSync(at, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(fd);
      if (stat.isFIFO() && stat.ino === inode) writeSync(fd, `${message}\n`);
    } finally {
      if (typeof at === 'string') closeSync(fd);
    }
  } catch {
    // The descriptor was closed, or lastcall run belongs to another user.
  }
}
