/**
 * What `lastcall/register` tells `lastcall run`: lines in a pipe. A variable of the environment names the pipe, and its inode,
 * so that nobody writes into another file that has got the same name.
 */

/** Not `LASTCALL_…`: those are options, and register warns of one that it does not know. */
export const RUN_CHANNEL = 'RUN_BY_LASTCALL';

/**
 * `service`: a server listens, and register will drain it. `thread`: one listens in a worker thread, where register can do nothing.
 * `complete`, `forced`: the outcome of a close.
 */
export type RunMessage = (typeof MESSAGES)[number];
const MESSAGES = ['service', 'thread', 'complete', 'forced'] as const;

/** A pipe: a descriptor that was inherited, or a path in /proc. */
export interface RunPipe {
  readonly at: number | string;
  readonly inode: number;
}

export function formatRunPipe({ at, inode }: RunPipe): string {
  return `${at} ${inode}`;
}

/** Undefined for anything else than what `formatRunPipe` writes. */
export function parseRunPipe(text: string | undefined): RunPipe | undefined {
  const [, at = '', inode] = /^(\d{1,5}|\/proc\/\d{1,10}\/fd\/\d{1,5}) (\d{1,15})$/.exec(text ?? '') ?? [];
  if (at === '') return undefined;
  return { at: at.startsWith('/') ? at : Number(at), inode: Number(inode) };
}

/** Leaves out lines that are no messages: every program below `lastcall run` can write into the pipe. */
export function parseRunMessages(text: string): readonly RunMessage[] {
  const lines = text.split('\n');
  return lines.map((line) => MESSAGES.find((message) => message === line)).filter((message) => message !== undefined);
}
