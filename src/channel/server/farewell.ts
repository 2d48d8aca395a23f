import type { FarewellState } from '../../connection/channel/sockets.ts';
import { FRAME } from '../wire/frames.ts';
import { encodeGoodbye } from '../wire/goodbye.ts';
import type { Link } from '../link/link.ts';
import type { GoodbyeWords } from '../wire/peer.ts';

/** The server's farewell to one client, and the client's own. */
export class Farewell {
  readonly #link: Link;
  /** `wanted`: it is said as soon as the greetings are over. */
  #step: 'not said' | 'wanted' | 'said' | 'answered' = 'not said';
  #words: GoodbyeWords = {};
  #isHeard = false;

  constructor(link: Link) {
    this.#link = link;
  }

  get state(): FarewellState {
    return this.#step === 'wanted' ? 'not said' : this.#step;
  }

  get isSaid(): boolean {
    return this.#step !== 'not said';
  }

  get isAnswered(): boolean {
    return this.#step === 'answered';
  }

  /** Whether the client has said its own. */
  get isHeard(): boolean {
    return this.#isHeard;
  }

  /** Whether nothing more is to be asked on this connection. One who has said farewell itself answers ours all the same, if we say it. */
  get isDone(): boolean {
    return this.#step === 'answered' || (this.#isHeard && this.#step === 'not said');
  }

  /** Says it, unless it was said. */
  say(lastAccepted: number, words: GoodbyeWords): void {
    if (this.#step !== 'not said') return;
    this.#step = 'wanted';
    this.#words = words;
    if (this.#link.isOpen) this.sayIfWanted(lastAccepted);
  }

  /** The greetings are over. */
  sayIfWanted(lastAccepted: number): void {
    if (this.#step !== 'wanted') return;
    this.#step = 'said';
    this.#link.writer.add(FRAME.goodbye, 0, lastAccepted, encodeGoodbye(this.#words));
  }

  /** The answer has come, with the last request that the client has sent; false where that cannot be. */
  hearAnswer(lastSent: number, lastSeen: number): boolean {
    if (this.#step !== 'said' || lastSent !== lastSeen) return false;
    this.#step = 'answered';
    return true;
  }

  /** The client's own farewell has come, with the last of its requests: so it is answered. */
  hear(lastSent: number): void {
    if (this.#isHeard) return this.#link.fail('protocol', 'A second GOODBYE came');
    this.#isHeard = true;
    this.#link.writer.add(FRAME.goodbyeAck, 0, lastSent);
  }
}
