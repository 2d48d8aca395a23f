import { LONGEST_WAIT } from './wait.ts';

type With<T, K extends PropertyKey> = T extends { readonly [key in K]: infer V } ? V : never;
type KeysOf<T> = T extends unknown ? keyof T : never;

/** Which message is awaited, beside its key. */
export interface Awaited<Sent> {
  /** Passes over messages that do not fit; they stay for whoever asks for them. */
  readonly where?: (message: Sent) => boolean;
  /** Milliseconds; default 60,000. */
  readonly limit?: number;
}

/** The messages that a process sends to its test: each is kept until it is taken, so a test may ask before or after it comes. */
export class Messages<Sent extends object> {
  readonly #sender: string;
  readonly #kept: Sent[] = [];
  readonly #waiting = new Set<() => void>();
  #end: string | undefined;

  constructor(sender: string) {
    this.#sender = sender;
  }

  /** Adds a message. */
  push(message: Sent): void {
    this.#kept.push(message);
    this.#wake();
  }

  /** No message comes any more; `why` says what became of the sender. */
  end(why: string): void {
    this.#end ??= why;
    this.#wake();
  }

  /** The value under `key` of the oldest message that has it and was not taken. Rejects at the sender's end, and after the limit. */
  async next<K extends KeysOf<Sent> & string>(key: K, awaited: Awaited<Sent> = {}): Promise<With<Sent, K>> {
    const { where = () => true, limit } = awaited;
    const message = await this.take(`\`${key}\``, (one) => key in one && where(one), limit);
    return Reflect.get(message, key) as With<Sent, K>;
  }

  /** The oldest message that fits and was not taken; `what` names it in the error. */
  take(what: string, fits: (message: Sent) => boolean, limit: number = LONGEST_WAIT): Promise<Sent> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const look = (): void => {
        const at = this.#kept.findIndex((message) => fits(message));
        const [found] = at === -1 ? [] : this.#kept.splice(at, 1);
        if (found === undefined && this.#end === undefined) return;
        stop();
        if (found === undefined) reject(new Error(`${this.#sender} did not send ${what}: ${this.#end}`));
        else resolve(found);
      };
      const timer = setTimeout(() => {
        stop();
        const kept = this.#kept.map((message) => Object.keys(message).join(' ')).slice(-5);
        reject(
          new Error(
            `${this.#sender} did not send ${what} in ${limit} ms; not taken yet: ${kept.join(', ') || 'nothing'}`,
          ),
        );
      }, limit);
      this.#waiting.add(look);
      look();
    });
  }

  #wake(): void {
    for (const look of this.#waiting) look();
  }
}
