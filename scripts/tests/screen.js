// What a person sees while the tests run: a line a file and, on a terminal, who is still running.
import { styleText } from 'node:util';

const { isTTY: isTerminal } = process.stdout;
const hasColour = isTerminal && process.env.NO_COLOR === undefined;

/** @param {'green' | 'red' | 'yellow' | 'dim' | 'bold'} style @param {string} text */
export function styled(style, text) {
  return hasColour ? styleText(style, text) : text;
}

/** @param {number} milliseconds */
export function duration(milliseconds) {
  if (milliseconds < 60_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Files as they run and end. */
export class Screen {
  /** @type {Set<string>} */
  #running = new Set();
  #done = 0;
  #total;
  #start = performance.now();
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /** @param {number} total */
  constructor(total) {
    this.#total = total;
    if (isTerminal) this.#timer = setInterval(() => this.#draw(), 1_000);
  }

  /** @param {string} name */
  begins(name) {
    this.#running.add(name);
    this.#draw();
  }

  /** @param {import('./file-run.js').FileResult} result */
  ended({ name, passed, failed, skipped, duration: took }) {
    this.#running.delete(name);
    this.#done += 1;
    const all = passed + failed.length;
    const mark = failed.length > 0 ? styled('red', '✖') : all === 0 ? styled('yellow', '-') : styled('green', '✔');
    const counts = [
      failed.length > 0 ? styled('red', `${failed.length} of ${all} failed`) : `${passed} passed`,
      ...(skipped.length > 0 ? [styled('yellow', `${skipped.length} skipped`)] : []),
    ];
    this.#clear();
    process.stdout.write(`${mark} ${name.padEnd(44)} ${duration(took).padStart(10)}   ${counts.join(', ')}\n`);
    this.#draw();
  }

  close() {
    clearInterval(this.#timer);
    this.#clear();
  }

  #draw() {
    if (!isTerminal) return;
    const took = duration(Math.floor((performance.now() - this.#start) / 1_000) * 1_000);
    const line = `${this.#done} of ${this.#total} files, ${took}: ${[...this.#running].join(', ')}`;
    this.#clear();
    process.stdout.write(styled('dim', line.slice(0, (process.stdout.columns || 80) - 1)));
  }

  #clear() {
    if (isTerminal) process.stdout.write('\r\u001B[K');
  }
}
