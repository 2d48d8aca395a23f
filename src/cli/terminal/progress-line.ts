import type { WriteStream } from 'node:tty';

/** Says what is going on: one line that is written over on a terminal, else a line for each step. */
export class ProgressLine {
  readonly #stream: NodeJS.WritableStream & Pick<WriteStream, 'isTTY' | 'columns'>;
  #step = '';

  constructor(stream: NodeJS.WritableStream & Pick<WriteStream, 'isTTY' | 'columns'>) {
    this.#stream = stream;
  }

  /** A new step has begun. */
  begin(step: string): void {
    this.#step = step;
    if (this.#stream.isTTY) this.#rewrite(step);
    else this.#stream.write(`${step}\n`);
  }

  /** How far the step is; a terminal alone shows it. */
  detail(text: string): void {
    if (this.#stream.isTTY) this.#rewrite(`${this.#step}: ${text}`);
  }

  /** Leaves no trace on a terminal. */
  clear(): void {
    if (this.#stream.isTTY) this.#rewrite('');
  }

  #rewrite(text: string): void {
    // A line that wraps could not be written over.
    this.#stream.write(`\r\x1b[K${text.slice(0, Math.max(0, this.#stream.columns - 1))}`);
  }
}
