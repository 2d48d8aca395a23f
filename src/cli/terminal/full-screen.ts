import { emitKeypressEvents } from 'node:readline';
import type { ReadStream, WriteStream } from 'node:tty';

// ECMA-48 and xterm's control sequences
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE_END = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

/** The terminal, taken over for a while: a screen of our own, and keys as they are pressed. */
export class FullScreen {
  readonly #output: WriteStream;
  readonly #input: ReadStream;
  readonly #onKey: (key: string) => void;
  #isOpen = false;

  /** `onKey` gets `q`, `p`, and what else is pressed; Ctrl-C as `ctrl-c`. */
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

  /** Gives the terminal back as it was. */
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

  /** Writes the screen over; what does not fit is left out. `lines` may have colours, which take no room. */
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

/** The first so many columns of a line, with its colours. */
export function cut(line: string, columns: number): string {
  let room = columns;
  // oxlint-disable-next-line no-control-regex -- the escape character is what is looked for
  return line.replaceAll(/\x1b\[[0-9;]*m|./gsu, (part) => {
    if (part.startsWith('\x1b')) return part;
    room -= 1;
    return room >= 0 ? part : '';
  });
}
