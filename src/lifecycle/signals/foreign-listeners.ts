import type { CloseReport } from '../../close/report.ts';
import { printLines } from '../exit/stderr.ts';
import { describeListener, programListenersOf } from './listener-names.ts';

/** Listeners of a stop signal that are not held: they run beside the stop, and the exit does not wait for what they do. */
export class ForeignListeners {
  #doubts: readonly string[] = [];

  note(signal: NodeJS.Signals): void {
    const names = programListenersOf(signal).map(describeListener);
    if (names.length === 0) return;
    this.#doubts = [
      `the exit does not wait for the program's own listeners of ${signal}, and may cut what they do: ` +
        `${names.join(', ')}. Remove them, or pass \`holdListeners: true\``,
    ];
  }

  /** At once: a listener may exit. */
  print(): void {
    printLines(...this.#doubts);
  }

  get doubts(): readonly string[] {
    return this.#doubts;
  }

  /** The report for a second look: what was printed is left out. */
  withoutPrinted(report: CloseReport): CloseReport {
    return { ...report, doubts: report.doubts.filter((doubt) => !this.#doubts.includes(doubt)) };
  }
}
