/** Says on stderr what is being measured: one line that is rewritten on a terminal, else a line each. */
export class Progress {
  readonly #began = performance.now();
  #last = '';

  tell(text: string): void {
    if (text === this.#last) return;
    this.#last = text;
    const seconds = ((performance.now() - this.#began) / 1_000).toFixed(0).padStart(4);
    process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${seconds} s  ${text}` : `${seconds} s  ${text}\n`);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  }
}
