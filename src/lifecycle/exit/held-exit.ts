import { type Replacement, replaceMethod } from '../../node/replace.ts';

/** Lets the program's calls of `process.exit` wait as long as clients are served. A call returns, and the first one counts. */
export class HeldExit {
  #replaced: Replacement | undefined;
  #asked: readonly unknown[] | undefined;

  hold(): void {
    this.#replaced ??= replaceMethod(process, 'exit', (original) => (...args: readonly unknown[]) => {
      if (this.#replaced === undefined) original(process, args);
      else this.#asked ??= args;
    });
  }

  /** Calls exit again. Returns whether one has waited; its code is then `process.exitCode`. */
  release(): boolean {
    this.#replaced?.undo();
    this.#replaced = undefined;
    const asked = this.#asked;
    this.#asked = undefined;
    const [code] = asked ?? [];
    if (typeof code === 'number' || typeof code === 'string') process.exitCode = code;
    return asked !== undefined;
  }
}
