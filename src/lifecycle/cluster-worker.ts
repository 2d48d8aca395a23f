import { setTimeout as sleep } from 'node:timers/promises';
import type { CloseReport } from '../close/report.ts';
import type { Budget } from './budget.ts';
import type { ClusterObserver, ClusterPart } from './cluster-part.ts';
import { onUnseen, sendUnseen } from '../node-fields.ts';
import { isPrimaryTells, type WorkerTells } from './cluster-messages.ts';

/** How long to wait for a primary that does not read, in milliseconds. */
const REPORT_WAIT = 500;

/**
 * A cluster worker's line to its primary, which holds the listening sockets: as long as one worker accepts, those in the
 * queues are served; when the last one has left, Node closes the sockets, and they are reset.
 */
export class PrimaryLink implements ClusterPart {
  /** Whoever else listens is not this worker's. */
  readonly isListening = false;
  readonly #leave = new AbortController();
  #isAnswering = false;
  readonly #unhear: () => void;

  constructor({ onStop }: Pick<ClusterObserver, 'onStop'>) {
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
  get hasColleagues(): boolean {
    return this.#isAnswering;
  }

  tellStop(): void {}

  /** Resolves when the primary says that this worker may close, or has gone. */
  async mayClose({ beforeDrain, soon }: Budget): Promise<void> {
    if (!this.#isAnswering) return;
    this.#tell({ kind: 'asks' });
    const either = AbortSignal.any([soon, this.#leave.signal]);
    await sleep(beforeDrain, undefined, { signal: either }).catch(() => {});
  }

  close(): undefined {}

  /** Resolves when the report is on its way. */
  async report(report: CloseReport, exits: boolean): Promise<void> {
    if (!this.#isAnswering) return;
    const errors = report.errors.map(({ message }) => message);
    const sent = new Promise<void>((resolve) =>
      this.#tell({ kind: 'closed', report: { ...report, errors }, exits }, resolve),
    );
    await Promise.race([sent, sleep(REPORT_WAIT)]);
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
