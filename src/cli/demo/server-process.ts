import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CloseReport } from '../../index.ts';
import { isServerMessage, type ServerMessage, STOP, type Way } from './messages.ts';

/** The demonstration's server, seen from the process that runs the storm. */
export interface ServerProcess {
  readonly port: number;
  stop(): void;
  /** Resolves with the report, if the way gives one, once the server has closed; rejects if it ended without. */
  closed(): Promise<CloseReport | undefined>;
  /** Kills what is left of it, and waits until it is gone. */
  end(): Promise<void>;
}

/** ms; the server's own deadline is shorter. */
const CLOSE_LIMIT = 15_000;

/** Starts the server and waits until it listens. An abort kills it. Rejects if it cannot listen. */
export async function startServer(way: Way, port: number, signal: AbortSignal): Promise<ServerProcess> {
  // Compiled or not, the server lies beside this file and ends as it does.
  const file = fileURLToPath(new URL(`./demo-server${extname(import.meta.url)}`, import.meta.url));
  const child = fork(file, [way, String(port)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  signal.addEventListener('abort', kill);
  if (signal.aborted) kill();
  // Asked for from the start: a message that nobody waits for is lost.
  const closed = nextMessage(child, 'closed');
  const started = nextMessage(child, 'listening', 'failed');
  await once(child, 'spawn');
  // Told to stop when it is gone already: its exit says so.
  child.on('error', () => {});

  const end = async (): Promise<void> => {
    signal.removeEventListener('abort', kill);
    if (child.exitCode === null && child.signalCode === null) {
      kill();
      await once(child, 'exit');
    }
  };
  const first = await started;
  if (first?.kind !== 'listening') {
    await end();
    throw new Error(`The server could not start: ${first?.kind === 'failed' ? first.message : 'it ended'}`);
  }
  return {
    port: first.port,
    stop: () => void child.send(STOP),
    closed: async () => {
      const limit = setTimeout(kill, CLOSE_LIMIT);
      const message = await closed;
      clearTimeout(limit);
      if (message?.kind !== 'closed') throw new Error('The server ended without having closed');
      return message.report;
    },
    end,
  };
}

/**
 * Resolves with the first message of these kinds, or with nothing if the process ends before: its channel's end says so
 * after its last message, which its exit may come before.
 */
function nextMessage(child: ChildProcess, ...kinds: ServerMessage['kind'][]): Promise<ServerMessage | undefined> {
  return new Promise((resolve) => {
    child.on('message', (message) => {
      if (isServerMessage(message) && kinds.includes(message.kind)) resolve(message);
    });
    child.once('disconnect', () => resolve(undefined));
  });
}
