import { constants } from 'node:os';
import type { Shape } from './rules/rule.ts';
import { openWire, type WiredHosts } from './open-wire.ts';
import { otherEndVariable } from './other-end.ts';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs a command line at the client's end of a wire, with this process's terminal, and returns its exit code. Signals that ask
 * this process to stop go on to it. Rejects where there can be no wire.
 */
export async function runOnClient(commandLine: readonly string[], shape: Shape): Promise<number> {
  const hosts = await openWire(shape);
  try {
    return await runAt(hosts, commandLine);
  } finally {
    await hosts.close();
  }
}

async function runAt({ client, server }: WiredHosts, [command = '', ...args]: readonly string[]): Promise<number> {
  const { namespace, ipv4 } = server;
  const env = { ...process.env, ...otherEndVariable({ namespace, address: ipv4 }) };
  const child = client.spawn(command, args, { stdio: 'inherit', env });
  // A terminal has sent its SIGINT to the child as well: one more SIGTERM changes nothing there.
  const forward = (): void => void child.kill('SIGTERM');
  for (const name of FORWARDED) process.on(name, forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    for (const name of FORWARDED) process.off(name, forward);
  }
}
