import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

/** A proxy before two instances of a service. */
export interface Proxy {
  readonly name: string;
  /** The program that it needs. */
  readonly program: string;
  /** Writes its configuration to the folder, and returns the program's arguments. */
  configure(folder: string, port: number, backends: readonly number[]): readonly string[];
  /** What it has noticed of instances that went, in its own words. */
  noticed(folder: string): Promise<string>;
}

export interface RunningProxy {
  readonly origin: string;
  readonly folder: string;
}

/** Starts the proxy on a free port, with a folder of its own, until the test ends. */
export async function startProxy(t: TestContext, proxy: Proxy, backends: readonly number[]): Promise<RunningProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-'));
  const port = await freePort();
  const options = proxy.configure(folder, port, backends);
  // It ends with the test's process, whatever becomes of that.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', proxy.program, ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const words = text(child.stderr);
  t.after(async () => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  });
  await answersAt(child, port).catch(async () => {
    throw new Error(`the proxy has not started: ${await words}`);
  });
  return { origin: `http://127.0.0.1:${port}`, folder };
}

/** For a test's `skip`: which of the programs are not installed, or false. */
export function missing(...programs: readonly string[]): string | false {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const lacking = programs.filter((name) => !folders.some((folder) => isProgram(join(folder, name))));
  return lacking.length === 0 ? false : `not installed: ${lacking.join(', ')}`;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A port of the loopback at which nobody listens. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Waits until it listens. */
async function answersAt(child: ChildProcess, port: number): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error('ended');
    const socket = net.connect(port, '127.0.0.1');
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (connected) return;
    await setTimeout(10);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
