import type { FarewellState } from '../../connection/channel/sockets.ts';
import type { Link } from '../link/link.ts';
import { FRAME } from '../wire/frames.ts';
import { encodeGoodbye, type GoodbyeWords } from '../wire/payloads.ts';

/** The GOODBYE of the server on one connection, and that of the client. */
export class Goodbyes {
  readonly #link: Link;
  /** `wanted`: it is sent as soon as the client's HELLO has come. */
  #step: 'not said' | 'wanted' | 'said' | 'answered' = 'not said';
  #words: GoodbyeWords = {};
  #isReceived = false;

  constructor(link: Link) {
    this.#link = link;
  }

  /** The state of the server's GOODBYE. */
  get state(): FarewellState {
    return this.#step === 'wanted' ? 'not said' : this.#step;
  }

  /** Whether the server leaves. */
  get isLeaving(): boolean {
    return this.#step !== 'not said';
  }

  get isAnswered(): boolean {
    return this.#step === 'answered';
  }

  /** Whether the client's GOODBYE has come. */
  get isReceived(): boolean {
    return this.#isReceived;
  }

  /** Whether no more requests come. A client that has sent its own GOODBYE still answers ours, if we send one. */
  get isDone(): boolean {
    return this.#step === 'answered' || (this.#isReceived && this.#step === 'not said');
  }

  /** Sends GOODBYE, once, as soon as the client's HELLO has come. */
  send(lastAccepted: number, words: GoodbyeWords): void {
    if (this.#step !== 'not said') return;
    this.#step = 'wanted';
    this.#words = words;
    if (this.#link.isOpen) this.sendIfWanted(lastAccepted);
  }

  /** The client's HELLO has come. */
  sendIfWanted(lastAccepted: number): void {
    if (this.#step !== 'wanted') return;
    this.#step = 'said';
    this.#link.writer.add(FRAME.goodbye, 0, lastAccepted, encodeGoodbye(this.#words));
  }

  /** GOODBYE-ACK has come, with the last request that the client sent. False where that cannot be. */
  receiveAnswer(lastSent: number, lastSeen: number): boolean {
    if (this.#step !== 'said' || lastSent !== lastSeen) return false;
    this.#step = 'answered';
    return true;
  }

  /** The client's GOODBYE has come, with the last request that it sent. Answers it. */
  receive(lastSent: number): void {
    if (this.#isReceived) return this.#link.fail('protocol', 'A second GOODBYE came');
    this.#isReceived = true;
    this.#link.writer.add(FRAME.goodbyeAck, 0, lastSent);
  }
}
