import type net from 'node:net';
import type { Farewell } from '../../close/options.ts';

// How much `answered` may look at, in bytes: the client must not decide that.
const KEPT = 64 * 1024;

/** Called with what the program's functions throw. */
type OnFarewellError = (name: 'farewell.say' | 'farewell.answered', cause: unknown) => void;

/** The farewell to one raw connection. */
export class RawFarewell {
  readonly #farewell: Farewell;
  readonly #program: net.Socket;
  readonly #onAnswer: () => void;
  #step: 'to say' | 'said' | 'failed' = 'to say';
  #received: Buffer = Buffer.alloc(0);

  /** `onAnswer` is called once, when the client has answered. What the program's functions throw is passed on. */
  constructor(farewell: Farewell, program: net.Socket, onAnswer: () => void) {
    this.#farewell = farewell;
    this.#program = program;
    this.#onAnswer = onAnswer;
  }

  /** Sends the words if they can be sent now; true once they are sent. */
  send(onError: OnFarewellError): boolean {
    const program = this.#program;
    if (this.#step !== 'to say') return this.#step === 'said';
    // Nobody reads yet: a listener for the answer would take bytes that are for the program.
    const canListen =
      this.#farewell.answered === undefined || program.readableFlowing !== null || isReadByHand(program);
    if (program.writableLength > 0 || !program.writable || !canListen) return false;
    const words = this.#ask(onError);
    if (words === undefined) return false;
    this.#step = 'said';
    if (this.#farewell.answered !== undefined) this.#listen(onError);
    program.write(words);
    return true;
  }

  #ask(onError: OnFarewellError): Uint8Array | undefined {
    try {
      const words: unknown = this.#farewell.say(this.#program);
      if (words === undefined || words instanceof Uint8Array) return words;
      throw new TypeError(`Expected \`farewell.say\` to return bytes, or nothing, got ${typeof words}`);
    } catch (cause) {
      this.#step = 'failed';
      onError('farewell.say', cause);
      return undefined;
    }
  }

  #listen(onError: OnFarewellError): void {
    const look = (chunk: Buffer | string): void => {
      // A string where the program has set an encoding.
      this.#received = Buffer.concat([this.#received, Buffer.from(chunk as string)]).subarray(-KEPT);
      let isAnswered = false;
      try {
        isAnswered = this.#farewell.answered?.(this.#received, this.#program) === true;
        if (!isAnswered) return;
      } catch (cause) {
        onError('farewell.answered', cause);
      }
      this.#program.off('data', look);
      // If it throws there is no answer: the connection is ended as if none had come.
      if (isAnswered) this.#onAnswer();
    };
    this.#program.on('data', look);
  }
}

/** By 'readable' and read(), or as an async iterator: 'data' is emitted then, too, for whatever is read. */
function isReadByHand(program: net.Socket): boolean {
  return program.listenerCount('readable') > 0;
}
