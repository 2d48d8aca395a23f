import { bindFunction, requireLibc, SystemCallError } from '../../../src/linux/libc.ts';

// bits/poll.h
const POLLIN = 0x001;

// asm-generic/errno-base.h
const EINTR = 4;

/**
 * Waits on descriptors by ppoll(2), whose time limit is fine enough for a wire: poll's own is in whole milliseconds.
 * It blocks the thread. The arrays are made once and live as long as the process.
 */
export class Poll {
  readonly #ppoll = bindFunction('int ppoll(void *descriptors, unsigned long count, void *timeout, void *mask)');
  readonly #count: number;
  readonly #fds: Int32Array;
  // poll.h, struct pollfd: int fd; short events; short revents.
  readonly #descriptors: Int16Array;
  readonly #descriptorBytes: Buffer;
  // time.h, struct timespec of a 64-bit system: two longs.
  readonly #timeout = new BigInt64Array(2);
  readonly #timeoutBytes: Buffer = Buffer.from(this.#timeout.buffer);

  constructor(descriptors: readonly number[]) {
    this.#count = descriptors.length;
    const fds = new Int32Array(descriptors.length * 2);
    this.#fds = fds;
    this.#descriptors = new Int16Array(fds.buffer);
    this.#descriptorBytes = Buffer.from(fds.buffer);
    descriptors.forEach((fd, at) => {
      fds[at * 2] = fd;
      this.#descriptors[at * 4 + 2] = POLLIN;
    });
  }

  /** Waits until a descriptor is ready, at most `timeout` ms; Infinity waits for as long as it takes. */
  wait(timeout: number): void {
    const nanoseconds = Math.max(0, Math.round(timeout * 1e6));
    const limit = timeout === Infinity ? null : this.#timeoutBytes;
    if (limit !== null) {
      this.#timeout[0] = BigInt(Math.floor(nanoseconds / 1e9));
      this.#timeout[1] = BigInt(nanoseconds % 1e9);
    }
    const ready = this.#ppoll(this.#descriptorBytes, this.#count, limit, null);
    if (ready !== -1) return;
    const errno = requireLibc().errno();
    if (errno !== EINTR) throw new SystemCallError('ppoll', errno);
    for (let at = 0; at < this.#count; at++) this.#descriptors[at * 4 + 3] = 0;
  }

  /** Whether the n-th descriptor has something to read, its end included, as of the last wait. */
  isReady(at: number): boolean {
    return this.#descriptors[at * 4 + 3] !== 0;
  }

  /** Leaves the n-th descriptor out from now on (poll(2): a negative one is passed over). */
  ignore(at: number): void {
    this.#fds[at * 2] = -1;
  }
}
