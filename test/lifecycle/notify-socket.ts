// What a service manager has: a Unix datagram socket, made by system calls, for Node has none.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { AF_UNIX, EAGAIN, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM } from '../../src/linux/constants.ts';
import { bindFunction, check, requireLibc } from '../../src/linux/libc.ts';
import { encodeUnixAddress } from '../../src/linux/unix-datagram.ts';

/** NOTIFY_BUFFER_MAX of systemd. */
const LONGEST_MESSAGE = 4_096;

/** Where services say how they are; closed when the test ends. */
export class NotifySocket {
  readonly address: string;
  readonly #test: TestContext;
  readonly #fd: number;
  #isClosed = false;

  constructor(t: TestContext, kind: 'path' | 'abstract') {
    const folder = mkdtempSync(join(tmpdir(), 'lastcall-'));
    this.address = kind === 'path' ? join(folder, 'notify') : `@lastcall-${randomUUID()}`;
    this.#test = t;
    this.#fd = check('socket', requireLibc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const bind = bindFunction('int bind(int fd, void *address, uint32_t length)');
    const encoded = encodeUnixAddress(this.address);
    check('bind', bind(this.#fd, encoded, encoded.length));
    t.after(() => {
      this.close();
      rmSync(folder, { recursive: true, force: true });
    });
  }

  /** The oldest datagram that was not taken yet; waits for it. */
  async next(): Promise<string> {
    for (;;) {
      const message = this.#receive();
      if (message !== undefined) return message;
      await setTimeout(2, undefined, { signal: this.#test.signal });
    }
  }

  /** Waits until this has come, and passes over all that came before. */
  async hears(wanted: string): Promise<void> {
    while ((await this.next()) !== wanted);
  }

  /** All that has come and was not taken. */
  takeAll(): readonly string[] {
    const messages: string[] = [];
    for (let message = this.#receive(); message !== undefined; message = this.#receive()) messages.push(message);
    return messages;
  }

  /** A service manager that has gone. */
  close(): void {
    if (!this.#isClosed) requireLibc().close(this.#fd);
    this.#isClosed = true;
  }

  #receive(): string | undefined {
    const bytes = Buffer.alloc(LONGEST_MESSAGE);
    // A descriptor that comes along is closed by the kernel: recv(2) leaves no room for it.
    const length = requireLibc().recv(this.#fd, bytes, bytes.length, MSG_DONTWAIT);
    if (length === -1 && requireLibc().errno() === EAGAIN) return undefined;
    return bytes.toString('utf8', 0, check('recv', length));
  }
}
