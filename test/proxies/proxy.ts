import { makeFolder } from '../harness/folders.ts';
import { freePort, isAccepted } from '../harness/ports.ts';
import { startCommand } from '../harness/processes.ts';
import type { Scope } from '../harness/scope.ts';
import { until, within } from '../harness/wait.ts';

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

/** Starts the proxy on a free port, with a folder of its own, until the scope ends. */
export async function startProxy(scope: Scope, proxy: Proxy, backends: readonly number[]): Promise<RunningProxy> {
  const folder = scope.use(makeFolder()).path;
  const port = await freePort();
  const options = proxy.configure(folder, port, backends);
  // It ends with the test's process, whatever becomes of that.
  const running = scope.use(startCommand(['setpriv', '--pdeathsig', 'KILL', proxy.program, ...options]));
  // By a signal that it obeys: it may have processes of its own.
  scope.defer(async () => {
    running.signal('SIGTERM');
    await within(`the end of ${proxy.name}`, running.ended);
  });
  await until(`${proxy.name} listens`, async () => running.hasEnded || (await isAccepted({ port, host: '127.0.0.1' })));
  if (running.hasEnded) throw new Error(`${proxy.name} has not started: ${running.stdout}${running.stderr}`);
  return { origin: `http://127.0.0.1:${port}`, folder };
}
