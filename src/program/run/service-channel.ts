import { closeSync, fstatSync, readSync } from 'node:fs';
import { loadLibc } from '../../linux/libc.ts';
import { openPipe } from '../../linux/pipe.ts';
import { formatRunPipe, parseRunMessages, RUN_CHANNEL } from '../../run-channel.ts';

// More than one line has. The rest of a longer text is no message.
const LONGEST_REST = 100;

/** The pipe by which `lastcall/register` tells this process that it has a service, and the outcome of its close. */
export class ServiceChannel {
  readonly #readEnd: number;
  readonly #inode: number;
  #writeEnd: number | undefined;
  #rest = '';
  #hasService = false;
  #hasThread = false;
  #hasClosed = false;
  #wasForced = false;

  private constructor(readEnd: number, writeEnd: number) {
    this.#readEnd = readEnd;
    this.#writeEnd = writeEnd;
    this.#inode = fstatSync(writeEnd).ino;
  }

  /** Undefined without system calls: then no gate can be shut from outside either. */
  static open(): ServiceChannel | undefined {
    if (!loadLibc().available) return undefined;
    try {
      const { readEnd, writeEnd } = openPipe();
      return new ServiceChannel(readEnd, writeEnd);
    } catch {
      return undefined;
    }
  }

  /** The end that a program inherits as its descriptor `at`. */
  inherited(at: number): { readonly fd: number; readonly env: NodeJS.ProcessEnv } {
    return { fd: this.#writeEnd ?? -1, env: { [RUN_CHANNEL]: formatRunPipe({ at, inode: this.#inode }) } };
  }

  /** The environment for a program below another one, which passes on no descriptors. The end stays open here. */
  named(): NodeJS.ProcessEnv {
    const at = `/proc/${process.pid}/fd/${this.#writeEnd}`;
    return { [RUN_CHANNEL]: formatRunPipe({ at, inode: this.#inode }) };
  }

  /** Whether servers listen, and the program itself will drain all of them. */
  get drainsItself(): boolean {
    this.#read();
    return this.#hasService && !this.#hasThread;
  }

  get hasClosed(): boolean {
    this.#read();
    return this.#hasClosed;
  }

  /** To be asked when the program has ended: whether it had a service, and never told how its close went. */
  get hasEndedEarly(): boolean {
    return this.drainsItself && !this.#hasClosed;
  }

  /** Whether a close of the program was `forced`. */
  get wasForced(): boolean {
    this.#read();
    return this.#wasForced;
  }

  /** A close before the stop is no part of it. */
  forgetCloses(): void {
    this.#read();
    this.#hasClosed = this.#wasForced = false;
  }

  close(): void {
    closeSync(this.#readEnd);
    if (this.#writeEnd !== undefined) closeSync(this.#writeEnd);
    this.#writeEnd = undefined;
  }

  #read(): void {
    const text = this.#rest + this.#readAll();
    const end = text.lastIndexOf('\n') + 1;
    this.#rest = text.slice(end).slice(-LONGEST_REST);
    for (const message of parseRunMessages(text.slice(0, end))) {
      this.#hasService ||= message === 'service';
      this.#hasThread ||= message === 'thread';
      this.#hasClosed ||= message === 'complete' || message === 'forced';
      this.#wasForced ||= message === 'forced';
    }
  }

  #readAll(): string {
    // A pipe holds 64 KiB. Whoever fills it again and again is not read to the end.
    const bytes = Buffer.alloc(65_536);
    try {
      return bytes.toString('latin1', 0, readSync(this.#readEnd, bytes));
    } catch {
      // EAGAIN: nobody has written.
      return '';
    }
  }
}
