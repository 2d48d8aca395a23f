import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Close } from '../close/close.ts';
import { type Receiver, receiversOf } from '../node/socket-fields.ts';

// How often to ask a process how many connections it has, in ms: a message there, and one back.
const ASK_EVERY = 20;

/**
 * Resolves when the connections that these servers have accepted, and that were sent to other processes
 * (`subprocess.send(message, socket)`), have ended there, or those processes have; at the deadline at the latest. Node asks
 * for their number over the message channel, whether lastcall is at its other end or not.
 */
export async function connectionsElsewhereEnded(servers: readonly net.Server[], close: Close): Promise<void> {
  await Promise.all(servers.flatMap(receiversOf).map((receiver) => receiverIsDone(receiver, close)));
}

async function receiverIsDone(receiver: Receiver, close: Close): Promise<void> {
  const { deadline } = close.clock;
  const { child } = receiver;
  while (child.exitCode === null && child.signalCode === null) {
    const open = await Promise.race([openAt(receiver), close.clock.timeIsUp()]);
    if (open === 0) return;
    if (deadline.aborted) {
      close.noteDoubt(`process ${child.pid} was sent connections, and may not have come to their end`);
      return;
    }
    await sleep(ASK_EVERY);
  }
}

/** Undefined where its channel is closed. */
function openAt({ count }: Receiver): Promise<number | undefined> {
  return new Promise((resolve) => {
    count((error, open) => resolve(error === null ? open : undefined));
  });
}
