import type { WriteStream } from 'node:tty';

/** Shows progress: on a terminal one line that is rewritten, otherwise a line for each step. */
export class ProgressLine {
  readonly #stream: NodeJS.WritableStream & Pick<WriteStream, 'isTTY' | 'columns'>;
  #step = '';

  constructor(stream: NodeJS.WritableStream & Pick<WriteStream, 'isTTY' | 'columns'>) {
    this.#stream = stream;
  }

  /** Begins a step. */
  begin(step: string): void {
    this.#step = step;
    if (this.#stream.isTTY) this.#rewrite(step);
    else this.#stream.write(`${step}\n`);
  }

  /** Shows how far the step is, on a terminal only. */
  detail(text: string): void {
    if (this.#stream.isTTY) this.#rewrite(`${this.#step}: ${text}`);
  }

  /** Removes the line from a terminal. */
  clear(): void {
    if (this.#stream.isTTY) this.#rewrite('');
  }

  #rewrite(text: string): void {
    // A line that wraps cannot be rewritten.
    this.#stream.write(`\r\x1b[K${text.slice(0, Math.max(0, this.#stream.columns - 1))}`);
  }
}
