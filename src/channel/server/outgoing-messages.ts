import { LastCallError, optionError } from '../../errors.ts';
import type { Link } from '../link/link.ts';

interface Waiting {
  readonly message: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: LastCallError) => void;
}

// About what a waiting message costs besides its bytes.
const ENTRY = 200;

/** The server's messages to one client, in order, as fast as the client reads them. */
export class OutgoingMessages {
  readonly #link: Link;
  readonly #maxWaiting: number;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;

  /** `maxWaiting`: the bytes that may wait for the client. */
  constructor(link: Link, maxWaiting: number) {
    this.#link = link;
    this.#maxWaiting = maxWaiting;
  }

  send(message: Uint8Array, isLeaving: boolean): Promise<void> {
    if (!(message instanceof Uint8Array)) throw optionError('message', 'a Uint8Array', message);
    if (!this.#link.isOpen || isLeaving) return Promise.reject(closedError());
    const { maxFrame } = this.#link.sending;
    if (message.length > maxFrame) {
      return reject(`A message of ${message.length} bytes is longer than the client's \`maxFrame\`, ${maxFrame}`);
    }
    if (this.#waitingBytes + message.length + ENTRY > this.#maxWaiting) {
      return reject(`The client has not read the ${this.#waitingBytes} bytes that wait for it`);
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
    const { sending } = this.#link;
    let sent = 0;
    for (const { message, resolve } of this.#waiting) {
      if (message.length > sending.room || sending.isFull) break;
      sending.sendMessage(message);
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

function reject(text: string): Promise<void> {
  return Promise.reject(new LastCallError('ERR_CHANNEL_LIMIT', text));
}

function closedError(cause?: LastCallError): LastCallError {
  return new LastCallError('ERR_CHANNEL_CLOSED', 'The connection to the client has ended, or is leaving', { cause });
}
