import { MSG_DONTWAIT } from '../../src/linux/constants.ts';
import { Poll } from '../../test/lab/linux/poll.ts';
import { requireLibc } from '../../src/linux/libc.ts';
import type { Gone } from '../processes/messages.ts';

const STDIN = 0;
const UNREAD = 65_536;

/** Blocks until the standard input ends, and with it the process. */
export function awaitEnd(): never {
  new Poll([STDIN]).wait(Infinity);
  process.exit(0);
}

/**
 * Answers the server's end on each of these connections with its own, and returns when all are gone. It blocks the thread and
 * goes past Node, which takes longer for an end than any server: the clients share the machine with what is measured.
 * Ends the process when the standard input does.
 */
export function answerEnds(fds: readonly number[]): Pick<Gone, 'ended' | 'reset'> {
  const { recv, close } = requireLibc();
  const poll = new Poll([STDIN, ...fds]);
  const bytes = Buffer.alloc(UNREAD);
  const counts = { ended: 0, reset: 0 };
  while (counts.ended + counts.reset < fds.length) {
    poll.wait(Infinity);
    if (poll.isReady(0)) process.exit(0);
    for (const [index, fd] of fds.entries()) {
      if (!poll.isReady(index + 1)) continue;
      const length = recv(fd, bytes, bytes.length, MSG_DONTWAIT);
      if (length > 0) continue;
      poll.ignore(index + 1);
      counts[length === 0 ? 'ended' : 'reset'] += 1;
      close(fd);
    }
  }
  return counts;
}
