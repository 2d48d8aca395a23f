import { LastCallError, optionError } from '../../errors.ts';
import { FRAME } from '../wire/frames.ts';
import type { Link } from './link.ts';

interface Waiting {
  readonly message: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: LastCallError) => void;
}

// What a message costs that waits, besides its bytes, about.
const ENTRY = 200;

/** A server's messages to one client, in their order, as fast as the client reads them. */
export class OutgoingMessages {
  readonly #link: Link;
  readonly #maxWaiting: number;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;

  /** `maxWaiting`: bytes that may wait for the client to read. */
  constructor(link: Link, maxWaiting: number) {
    this.#link = link;
    this.#maxWaiting = maxWaiting;
  }

  send(message: Uint8Array, isLeaving: boolean): Promise<void> {
    if (!(message instanceof Uint8Array)) throw optionError('message', 'a Uint8Array', message);
    if (!this.#link.isOpen || isLeaving) return Promise.reject(closedError());
    if (message.length > this.#link.sending.maxFrame) {
      const text = `A message of ${message.length} bytes is longer than the client's \`maxFrame\`, ${this.#link.sending.maxFrame}`;
      return Promise.reject(new LastCallError('ERR_CHANNEL_LIMIT', text));
    }
    if (this.#waitingBytes + message.length + ENTRY > this.#maxWaiting) {
      const text = `The client has not read the ${this.#waitingBytes} bytes that wait for it`;
      return Promise.reject(new LastCallError('ERR_CHANNEL_LIMIT', text));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ message, resolve, reject });
      this.#waitingBytes += message.length + ENTRY;
      this.sendWaiting();
    });
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  sendWaiting(): void {
    let sent = 0;
    for (const { message, resolve } of this.#waiting) {
      if (message.length > this.#link.sending.room || this.#link.sending.isFull) break;
      this.#link.sending.window.take(message.length);
      this.#link.writer.add(FRAME.message, 0, 0, message);
      this.#waitingBytes -= message.length + ENTRY;
      sent += 1;
      resolve();
    }
    if (sent > 0) this.#waiting = this.#waiting.slice(sent);
  }

  fail(cause: LastCallError): void {
    for (const { reject } of this.#waiting) reject(closedError(cause));
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}

function closedError(cause?: LastCallError): LastCallError {
  return new LastCallError('ERR_CHANNEL_CLOSED', 'The connection to the client is over, or leaving', { cause });
}
