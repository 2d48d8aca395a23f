import { spawn, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findTree } from '../../src/program/process-tree.ts';

/** The command as users have it. */
export const MAIN: string = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

/** How a process ended, and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process that a test has started. */
export interface Started {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Resolves when its standard output has a text that matches. */
  readonly says: (wanted: RegExp) => Promise<RegExpMatchArray>;
  readonly write: (text: string) => void;
}

export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly stdio?: StdioOptions;
}

/** Starts a command line; what is left of it and of its descendants goes with the test. */
export function start(t: TestContext, [command = '', ...args]: readonly string[], options: StartOptions = {}): Started {
  const child = spawn(command, args, {
    stdio: options.stdio ?? 'pipe',
    env: { ...process.env, ...options.env },
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} did not start`);
  const seen = new Set<number>();
  const look = setInterval(() => findTree(pid).forEach((one) => seen.add(one)), 100);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = once(child, 'exit').then(async ([code, signal]): Promise<Ended> => {
    clearInterval(look);
    // What it has said is all there once its pipes are at their end, or somebody else has inherited them.
    await Promise.race([once(child, 'close'), sleep(200)]);
    return { code, signal, stdout, stderr };
  });
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      for (const one of [...findTree(pid)].toReversed()) kill(one);
      await ended;
    }
    clearInterval(look);
  });
  return {
    pid,
    ended,
    write: (text) => void child.stdin?.write(text),
    says: async (wanted) => {
      for (;;) {
        const found = stdout.match(wanted);
        if (found !== null) return found;
        if (child.stdout === null) throw new Error('its output is not read');
        await Promise.race([once(child.stdout, 'data', { signal: t.signal }), ended]);
        if (child.exitCode !== null && stdout.match(wanted) === null) throw new Error(`it ended: ${stdout}${stderr}`);
      }
    },
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/** Starts `lastcall` with these arguments. */
export function startLastcall(t: TestContext, args: readonly string[], options: StartOptions = {}): Started {
  return start(t, [process.execPath, MAIN, ...args], options);
}

/** A port that nobody has just now. */
export async function findPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Whether a new connection gets in. */
export async function isAccepted(target: net.NetConnectOpts): Promise<boolean> {
  const socket = net.connect(target);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Until connections get in, or are refused. */
export async function untilAccepted(t: TestContext, target: net.NetConnectOpts, wanted = true): Promise<void> {
  while ((await isAccepted(target)) !== wanted) await sleep(5, undefined, { signal: t.signal });
}
