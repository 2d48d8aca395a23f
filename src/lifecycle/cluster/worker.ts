import type { CloseReport } from '../../close/report.ts';
import type { Budget } from '../budget.ts';
import type { ClusterObserver, ClusterPart } from './part.ts';
import { onUnseen, sendUnseen } from '../../node/fields.ts';
import { isPrimaryTells, type WorkerTells } from './messages.ts';
import { untilAborted } from '../until.ts';

/** Of the time that a worker has: as long as it serves whom the primary has still, the rest is for its own connections. */
const SHARE_OF_QUEUES = 3 / 4;

/**
 * A cluster worker's line to its primary, which holds the listening sockets: as long as one worker accepts, those in the
 * queues are served; when the last one has left, Node closes the sockets, and they are reset.
 */
export class PrimaryLink implements ClusterPart {
  /** Whoever else listens is not this worker's. */
  readonly isListening = false;
  readonly #leave = new AbortController();
  readonly #noted = new AbortController();
  #isAnswering = false;
  readonly #unhear: () => void;

  constructor({ onStop }: Pick<ClusterObserver, 'onStop'>) {
    this.#unhear = onUnseen(process, (body) => {
      if (!isPrimaryTells(body)) return;
      if (body.kind === 'hello' && !this.#isAnswering) this.#greet();
      if (body.kind === 'stop') onStop(body.reason, body.deadline);
      if (body.kind === 'leave') this.#leave.abort();
      if (body.kind === 'noted') this.#noted.abort();
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
  async mayClose({ drain, soon }: Budget): Promise<void> {
    if (!this.#isAnswering) return;
    this.#tell({ kind: 'asks' });
    await untilAborted([soon, this.#leave.signal], drain * SHARE_OF_QUEUES);
  }

  close(): undefined {}

  /**
   * Resolves when the primary has noted that this worker has closed. A busy one goes on sending it connections until then; it
   * sends them to another worker if this one, which must be alive for that, says that it does not listen.
   */
  async report(report: CloseReport, exits: boolean, { left }: Budget): Promise<void> {
    if (!this.#isAnswering) return;
    const errors = report.errors.map(({ message }) => message);
    this.#tell({ kind: 'closed', report: { ...report, errors }, exits });
    await untilAborted([this.#noted.signal], left);
  }

  end(): void {
    this.#unhear();
    process.off('disconnect', this.#noteGone);
  }

  readonly #noteGone = (): void => {
    this.#isAnswering = false;
    this.#leave.abort();
    this.#noted.abort();
  };

  #greet(): void {
    this.#isAnswering = true;
    this.#tell({ kind: 'here' });
  }

  #tell(what: WorkerTells): void {
    sendUnseen(process, what);
  }
}
