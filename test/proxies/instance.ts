import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readTcpTable } from '../../src/linux/proc-net.ts';
import type { HowToStop, InstanceOrder, InstanceTells } from '../fixtures/proxies/proxy-backend.ts';

export type { HowToStop } from '../fixtures/proxies/proxy-backend.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/proxies/proxy-backend.js', import.meta.url));
/** The kernel's number for a listening socket (net/tcp_states.h). */
const LISTEN = 10;

/** One instance of the service behind the proxy. */
export interface Instance {
  readonly port: number;
  /** Resolves once it has served each of these paths so many times more. */
  serves(paths: readonly string[], times: number): Promise<unknown>;
  /** SIGTERM. */
  stop(): void;
  /** Of a graceful close. */
  readonly report: Promise<InstanceTells['report']>;
  /** Of a service. */
  readonly sinceSignal: Promise<InstanceTells['sinceSignal']>;
  readonly ended: Promise<unknown>;
  /** Holds the program up, while the kernel goes on to take in clients, until it is told to go on. */
  holdUp(): void;
  /** Resolves once so many clients wait in its accept queue. */
  queues(clients: number): Promise<void>;
  goOn(): void;
}

/** Starts an instance on a free port, or on that of the one before it. */
export async function startInstance(t: TestContext, how: HowToStop, port = 0): Promise<Instance> {
  const child = fork(PROGRAM, [how, `${port}`]);
  t.after(() => child.kill('SIGKILL'));
  const report = tells(child, 'report');
  const sinceSignal = tells(child, 'sinceSignal');
  // Not every instance has them, or is stopped.
  for (const told of [report, sinceSignal]) told.catch(() => {});
  const listening = await tells(child, 'port');
  return {
    port: listening,
    serves: (paths, times) => {
      child.send({ paths, times } satisfies InstanceOrder);
      return tells(child, 'served');
    },
    stop: () => void child.kill('SIGTERM'),
    report,
    sinceSignal,
    ended: once(child, 'exit'),
    holdUp: () => void child.kill('SIGSTOP'),
    queues: async (clients) => {
      while (queueOf(listening) < clients) await setTimeout(5, undefined, { signal: t.signal });
    },
    goOn: () => void child.kill('SIGCONT'),
  };
}

function queueOf(port: number): number {
  const rows = readTcpTable('IPv4').filter((row) => row.localPort === port && row.state === LISTEN);
  return rows[0]?.receiveQueue ?? 0;
}

function tells<K extends keyof InstanceTells>(child: ChildProcess, what: K): Promise<InstanceTells[K]> {
  return new Promise((resolve, reject) => {
    const onEnd = (): void => reject(new Error(`the instance has ended without a word about its ${what}`));
    const onMessage = (message: Partial<InstanceTells>): void => {
      const told = message[what];
      if (told === undefined) return;
      child.off('message', onMessage).off('disconnect', onEnd);
      resolve(told);
    };
    child.on('message', onMessage).once('disconnect', onEnd);
  });
}
