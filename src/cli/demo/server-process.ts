import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CloseReport } from '../../index.ts';
import { isServerMessage, type ServerMessage, STOP, type Way } from './messages.ts';

/** The server of the demo, as the process with the storm sees it. */
export interface ServerProcess {
  readonly port: number;
  stop(): void;
  /** Resolves once the server has closed, with its report if it has one. Rejects if the server ended without closing. */
  closed(): Promise<CloseReport | undefined>;
  /** Kills the server if it is still running, and waits until it is gone. */
  end(): Promise<void>;
}

/** In ms; the server's own deadline is shorter. */
const CLOSE_LIMIT = 15_000;

/** Starts the server and waits until it listens. An abort kills it. Rejects if it cannot listen. */
export async function startServer(way: Way, port: number, signal: AbortSignal): Promise<ServerProcess> {
  // The server is beside this file and has the same extension, compiled or not.
  const file = fileURLToPath(new URL(`./demo-server${extname(import.meta.url)}`, import.meta.url));
  const child = fork(file, [way, String(port)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  signal.addEventListener('abort', kill);
  if (signal.aborted) kill();
  // Both listen from the start: a message without a listener is lost.
  const closed = nextMessage(child, 'closed');
  const started = nextMessage(child, 'listening', 'failed');
  await once(child, 'spawn');
  // A send to a process that is gone fails; its exit reports that.
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
 * Resolves with the first message of these kinds, or with undefined if the process ends before. Waits for the end of the channel:
 * the exit may come before the last message.
 */
function nextMessage(child: ChildProcess, ...kinds: ServerMessage['kind'][]): Promise<ServerMessage | undefined> {
  return new Promise((resolve) => {
    child.on('message', (message) => {
      if (isServerMessage(message) && kinds.includes(message.kind)) resolve(message);
    });
    child.once('disconnect', () => resolve(undefined));
  });
}
