import type { ChildProcess } from 'node:child_process';

/** A union's members that have this key, of which one is expected. */
type With<T, K extends PropertyKey> = T extends { readonly [key in K]: infer V } ? V : never;
type KeysOf<T> = T extends unknown ? keyof T : never;

/** What a fixture tells over its IPC channel, each message by the name of its only key. */
export class ProgramMessages<Told extends object> {
  readonly #told: object[] = [];
  readonly #waiting = new Set<() => void>();
  #end: string | undefined;

  constructor(child: ChildProcess) {
    child.on('message', (told: object) => {
      this.#told.push(told);
      this.#look();
    });
    child.once('exit', (code, signal) => {
      this.#end = `it ended with ${code ?? signal}`;
      this.#look();
    });
    child.once('error', (error) => {
      this.#end ??= error.message;
      this.#look();
    });
  }

  /** The oldest message of this kind that was not taken yet. Rejects when the program ends without it. */
  next<K extends KeysOf<Told> & string>(key: K): Promise<With<Told, K>> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const at = this.#told.findIndex((message) => key in message);
        if (at === -1 && this.#end === undefined) return;
        this.#waiting.delete(look);
        const [message] = at === -1 ? [] : this.#told.splice(at, 1);
        if (message === undefined) reject(new Error(`The program did not tell \`${key}\`: ${this.#end}`));
        else resolve(Reflect.get(message, key) as With<Told, K>);
      };
      this.#waiting.add(look);
      look();
    });
  }

  #look(): void {
    for (const look of this.#waiting) look();
  }
}
