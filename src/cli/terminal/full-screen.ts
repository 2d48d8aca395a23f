import { emitKeypressEvents } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';

// ECMA-48 and xterm's control sequences
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE_END = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

/** Takes over the terminal: its own screen, and keys as they are pressed. */
export class FullScreen {
  readonly #output: WriteStream;
  readonly #input: ReadStream;
  readonly #onKey: (key: string) => void;
  #isOpen = false;

  /** `onKey` gets each key, such as `q`, and Ctrl-C as `ctrl-c`. */
  constructor(output: WriteStream, input: ReadStream, onKey: (key: string) => void) {
    this.#output = output;
    this.#input = input;
    this.#onKey = onKey;
  }

  open(): void {
    this.#isOpen = true;
    this.#output.write(ENTER);
    if (!this.#input.isTTY) return;
    emitKeypressEvents(this.#input);
    this.#input.setRawMode(true);
    this.#input.on('keypress', this.#press);
    this.#input.resume();
  }

  /** Restores the terminal. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#input.isTTY) {
      this.#input.off('keypress', this.#press);
      this.#input.setRawMode(false);
      this.#input.pause();
    }
    this.#output.write(LEAVE);
  }

  /** Redraws the screen, and leaves out what does not fit. `lines` may have colours. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const { columns, rows } = this.#output;
    const fitting = lines.slice(0, rows).map((line) => cut(line, columns) + CLEAR_LINE_END);
    this.#output.write(HOME + fitting.join('\r\n') + CLEAR_BELOW);
  }

  readonly #press = (text: string | undefined, key: { readonly name?: string; readonly ctrl?: boolean }): void => {
    this.#onKey(key.ctrl === true ? `ctrl-${key.name}` : (text ?? ''));
  };
}

/** Cuts a line to a number of columns, and keeps its colours. */
export function cut(line: string, columns: number): string {
  let room = columns;
  // oxlint-disable-next-line no-control-regex -- the search is for the escape character
  return line.replaceAll(/\x1b\[[0-9;]*m|./gsu, (part) => {
    if (part.startsWith('\x1b')) return part;
    room -= 1;
    return room >= 0 ? part : '';
  });
}
