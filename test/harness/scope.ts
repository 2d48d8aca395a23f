/**
 * Things that end together, the last first, whatever happens in between: for `await using`, where how many they are is known
 * only when the test runs. (Node 20 has no AsyncDisposableStack.)
 */
export class Scope implements AsyncDisposable {
  readonly #ends: (() => unknown)[] = [];

  /** Takes over the end of something disposable, and returns it. */
  use<T extends AsyncDisposable | Disposable>(thing: T): T {
    this.defer(() => (Symbol.asyncDispose in thing ? thing[Symbol.asyncDispose]() : thing[Symbol.dispose]()));
    return thing;
  }

  /** Calls `end`, and waits for it, when the scope ends. */
  defer(end: () => unknown): void {
    this.#ends.push(end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = [];
    for (const end of this.#ends.splice(0).toReversed()) {
      try {
        await end();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'Not everything of the test could be ended');
  }
}
