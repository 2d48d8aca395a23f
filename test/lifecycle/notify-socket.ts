// The socket of a service manager: a Unix datagram socket, made by system calls, since Node has none.
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { AF_UNIX, EAGAIN, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM } from '../../src/linux/constants.ts';
import { bindFunction, check, requireLibc } from '../../src/linux/libc.ts';
import { encodeUnixAddress } from '../../src/linux/unix-datagram.ts';
import { makeFolder } from '../harness/folders.ts';
import { until } from '../harness/wait.ts';

/** NOTIFY_BUFFER_MAX of systemd. */
const LONGEST_MESSAGE = 4_096;

/** Receives the messages of services. For `using`. */
export class NotifySocket implements Disposable {
  readonly address: string;
  readonly #folder = makeFolder();
  readonly #fd: number;
  #isClosed = false;

  constructor(kind: 'path' | 'abstract') {
    this.address = kind === 'path' ? join(this.#folder.path, 'notify') : `@lastcall-${randomUUID()}`;
    this.#fd = check('socket', requireLibc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const bind = bindFunction('int bind(int fd, void *address, uint32_t length)');
    const encoded = encodeUnixAddress(this.address);
    check('bind', bind(this.#fd, encoded, encoded.length));
  }

  /** Waits for the oldest datagram that was not taken yet. */
  async next(what = 'a message'): Promise<string> {
    let message: string | undefined;
    await until(`the manager gets ${what}`, () => (message = this.#receive()) !== undefined);
    return message ?? '';
  }

  /** Waits for this message, and skips all that came before. */
  async gets(wanted: string): Promise<void> {
    await this.skipTo(JSON.stringify(wanted), (message) => message === wanted);
  }

  /** The next message that fits. Skips all that came before. */
  async skipTo(what: string, fits: (message: string) => boolean): Promise<string> {
    let found: string | undefined;
    await until(`the manager gets ${what}`, () => (found = this.#receiveFitting(fits)) !== undefined);
    return found ?? '';
  }

  /** All datagrams that were not taken yet. */
  takeAll(): readonly string[] {
    const messages: string[] = [];
    for (let message = this.#receive(); message !== undefined; message = this.#receive()) messages.push(message);
    return messages;
  }

  /** From now on the manager has gone. */
  close(): void {
    if (!this.#isClosed) requireLibc().close(this.#fd);
    this.#isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
    this.#folder[Symbol.dispose]();
  }

  #receiveFitting(fits: (message: string) => boolean): string | undefined {
    for (let message = this.#receive(); message !== undefined; message = this.#receive()) {
      if (fits(message)) return message;
    }
    return undefined;
  }

  #receive(): string | undefined {
    const bytes = Buffer.alloc(LONGEST_MESSAGE);
    // The kernel closes a descriptor that comes along: recv(2) has no room for it.
    const length = requireLibc().recv(this.#fd, bytes, bytes.length, MSG_DONTWAIT);
    if (length === -1 && requireLibc().errno() === EAGAIN) return undefined;
    return bytes.toString('utf8', 0, check('recv', length));
  }
}
