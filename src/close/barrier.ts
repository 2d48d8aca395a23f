/** Lets several go on together: whoever arrives waits for the others. */
export class Barrier {
  readonly #passed: Promise<void>;
  #pass: () => void = () => {};
  #missing: number;

  constructor(parties: number) {
    this.#missing = parties;
    this.#passed = new Promise((resolve) => {
      this.#pass = resolve;
    });
  }

  /** Resolves when as many have arrived as there are. */
  arrive(): Promise<void> {
    this.#missing -= 1;
    if (this.#missing === 0) this.#pass();
    return this.#passed;
  }
}
