/** A service with a channel and its clients, a process each. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ChannelCallersTell } from '../fixtures/channel/channel-callers.ts';
import type { ChannelServiceOrder, ChannelServiceTells } from '../fixtures/channel/channel-service.ts';

export const serviceProgram: string = fileURLToPath(new URL('../fixtures/channel/channel-service.js', import.meta.url));
export const callersProgram: string = fileURLToPath(new URL('../fixtures/channel/channel-callers.js', import.meta.url));

/** The next message of a service that has this key. */
export async function hear<Key extends 'port' | 'report' | 'processed'>(
  service: ChildProcess,
  key: Key,
): Promise<Extract<ChannelServiceTells, Readonly<Record<Key, unknown>>>[Key]> {
  for (;;) {
    const [message] = (await once(service, 'message')) as [Readonly<Record<string, unknown>>];
    if (key in message) return message[key] as Extract<ChannelServiceTells, Readonly<Record<Key, unknown>>>[Key];
  }
}

/** Orders, and waits for what comes of it. */
export async function order<Key extends 'report' | 'processed'>(
  service: ChildProcess,
  what: ChannelServiceOrder,
  key: Key,
): Promise<Extract<ChannelServiceTells, Readonly<Record<Key, unknown>>>[Key]> {
  const heard = hear(service, key);
  service.send(what);
  return heard;
}

/** Resolves when the clients have been answered so many times more. */
export async function answered(callers: ChildProcess, times: number): Promise<void> {
  const count = async (): Promise<number> => {
    const heard = once(callers, 'message');
    callers.send('how many');
    return ((await heard) as [number])[0];
  };
  const until = (await count()) + times;
  while ((await count()) < until);
}

/** Ends the asking, and says what became of all. */
export async function stop(callers: ChildProcess): Promise<ChannelCallersTell> {
  const heard = once(callers, 'message');
  callers.send('stop');
  return ((await heard) as [ChannelCallersTell])[0];
}

/** That every request was done, and processed once. */
export function assertExactlyOnce({ done, others }: ChannelCallersTell, processed: readonly number[]): void {
  assert.deepEqual(others, []);
  assert.equal(new Set(processed).size, processed.length, 'some were processed twice');
  assert.deepEqual(
    done.toSorted((one, other) => one - other),
    processed.toSorted((one, other) => one - other),
  );
}
