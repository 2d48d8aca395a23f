import type { ChildProcess } from 'node:child_process';
import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Close } from '../close/close.ts';
import { type Receiver, receiversOf } from '../node/socket-fields.ts';

// How often to ask a process how many connections it has, in ms: a message there, and one back.
const ASK_EVERY = 20;

/**
 * Resolves when the connections that these servers have accepted, and that were sent to other processes
 * (`subprocess.send(message, socket)`), have ended there, or those processes have; at the deadline at the latest. Node asks
 * for their number over the message channel, whether lastcall is at its other end or not. `children` were sent some during the
 * close: Node forgets those that have ended.
 */
export async function connectionsElsewhereEnded(
  servers: readonly net.Server[],
  children: ReadonlySet<ChildProcess>,
  close: Close,
): Promise<void> {
  const receivers = servers.flatMap(receiversOf);
  await Promise.all(receivers.map((receiver) => receiverIsDone(receiver, close)));
  for (const child of new Set([...children, ...receivers.map(({ child }) => child)])) {
    const { pid, exitCode, signalCode } = child;
    const isWell = signalCode === null && (exitCode === null || exitCode === 0);
    if (!isWell) close.noteDoubt(`process ${pid}, which was sent connections, ended with ${signalCode ?? exitCode}`);
  }
}

async function receiverIsDone({ child, count }: Receiver, close: Close): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    const open = await Promise.race([openAt(count), close.clock.timeIsUp()]);
    if (open === 0) return;
    if (close.clock.deadline.aborted) {
      close.noteDoubt(`process ${child.pid} was sent connections, and may not have come to their end`);
      return;
    }
    await sleep(ASK_EVERY);
  }
}

/** Undefined where its channel is closed. */
function openAt(count: Receiver['count']): Promise<number | undefined> {
  return new Promise((resolve) => {
    count((error, open) => resolve(error === null ? open : undefined));
  });
}
