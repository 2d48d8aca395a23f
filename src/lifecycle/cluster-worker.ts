import type { CloseReport } from '../close/report.ts';
import { onUnseen, sendUnseen } from '../node-fields.ts';
import { isPrimaryTells, type WorkerTells } from './cluster-messages.ts';

/**
 * A cluster worker's line to its primary, which holds the listening sockets: as long as one worker accepts, those in the
 * queues are served; when the last one has left, Node closes the sockets, and they are reset.
 */
export class PrimaryLink {
  readonly #leave = new AbortController();
  #isAnswering = false;
  readonly #unhear: () => void;

  /** `onStop`: the primary stops, and this worker with it. */
  constructor(onStop: (reason: string, deadline: number) => void) {
    this.#unhear = onUnseen(process, (body) => {
      if (!isPrimaryTells(body)) return;
      if (body.kind === 'hello' && !this.#isAnswering) this.#greet();
      if (body.kind === 'stop') onStop(body.reason, body.deadline);
      if (body.kind === 'leave') this.#leave.abort();
    });
    this.#tell({ kind: 'here' });
    process.once('disconnect', this.#noteGone);
  }

  /** Whether the primary has lastcall, too. */
  get isAnswering(): boolean {
    return this.#isAnswering;
  }

  /** Resolves when this worker may close: the primary says so, or has gone, or `most` milliseconds are over, or `soon` aborts. */
  async askForLeave(most: number, soon: AbortSignal): Promise<void> {
    this.#tell({ kind: 'asks' });
    const asked = AbortSignal.any([soon, this.#leave.signal]);
    if (asked.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, most);
      asked.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Resolves when the report is on its way. */
  async report(report: CloseReport): Promise<void> {
    if (!this.#isAnswering) return;
    const errors = report.errors.map(({ message }) => message);
    await new Promise<void>((resolve) => this.#tell({ kind: 'closed', report: { ...report, errors } }, resolve));
  }

  end(): void {
    this.#unhear();
    process.off('disconnect', this.#noteGone);
  }

  readonly #noteGone = (): void => {
    this.#isAnswering = false;
    this.#leave.abort();
  };

  #greet(): void {
    this.#isAnswering = true;
    this.#tell({ kind: 'here' });
  }

  #tell(what: WorkerTells, then?: () => void): void {
    sendUnseen(process, what, then);
  }
}
