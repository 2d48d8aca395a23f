import { isMainThread } from 'node:worker_threads';
import type { CloseReport } from '../../close/report.ts';
import { onceReceived } from '../../connection/handed-over/fed-servers.ts';
import { isClusterWorker } from '../../listener/origin.ts';
import { onUnseen, sendUnseen } from '../../node/fields.ts';
import type { Budget } from '../budget.ts';
import { waitForAbort } from '../wait.ts';
import { isPrimaryMessage, type WorkerMessage } from './messages.ts';

/** The share of a worker's time for clients that are still with the primary. The rest is for its own connections. */
const SHARE_OF_QUEUES = 3 / 4;

/** `onStop`: the primary stops, and this worker with it, within `deadline` ms. */
type OnStop = (reason: string, deadline: number) => void;

/**
 * This process as a worker: of a cluster, or of a parent that sends it connections, once it does. Undefined if it can be neither.
 */
export function findClusterWorker(onStop: OnStop): ClusterWorker | undefined {
  return isMainThread && process.channel !== undefined ? new ClusterWorker(onStop) : undefined;
}

/**
 * This process as a worker of a cluster. The primary holds the listening sockets. Clients in the queues are served as long as
 * one worker accepts. When the last worker leaves, Node closes the sockets, and resets the clients in the queues.
 */
export class ClusterWorker {
  readonly #mayLeave = new AbortController();
  readonly #isNoted = new AbortController();
  /** Whether the primary has lastcall and is there. */
  #hasPrimary = false;
  readonly #stopListening: () => void;
  readonly #forgetReceived: () => void;

  constructor(onStop: OnStop) {
    this.#stopListening = onUnseen(process, (body) => {
      if (!isPrimaryMessage(body)) return;
      if (body.kind === 'hello' && !this.#hasPrimary) this.#greet();
      if (body.kind === 'stop') onStop(body.reason, body.deadline);
      if (body.kind === 'leave') this.#mayLeave.abort();
      if (body.kind === 'noted') this.#isNoted.abort();
    });
    this.#forgetReceived = isClusterWorker() ? () => {} : onceReceived(() => this.#send({ kind: 'here' }));
    if (isClusterWorker()) this.#send({ kind: 'here' });
  }

  /** Whether it has to ask before it closes. */
  get mustAsk(): boolean {
    return this.#hasPrimary;
  }

  /** Resolves when the primary lets this worker close, when the primary has gone, or when the time for that is up. */
  async mayClose({ forDrain, skipLameDuck }: Budget): Promise<void> {
    if (!this.#hasPrimary) return;
    this.#send({ kind: 'asks' });
    await waitForAbort([skipLameDuck, this.#mayLeave.signal], forDrain * SHARE_OF_QUEUES);
  }

  /**
   * Resolves when the primary has the report. A busy primary sends this worker connections until then. It gives them to another
   * worker if this one answers that it does not listen, and so has to be alive.
   */
  async sendReport(report: CloseReport, exits: boolean, { left }: Budget): Promise<void> {
    if (!this.#hasPrimary) return;
    const errors = report.errors.map(({ message }) => message);
    this.#send({ kind: 'closed', report: { ...report, errors }, exits });
    await waitForAbort([this.#isNoted.signal], left);
  }

  end(): void {
    this.#stopListening();
    this.#forgetReceived();
    process.off('disconnect', this.#onDisconnect);
  }

  readonly #onDisconnect = (): void => {
    this.#hasPrimary = false;
    this.#mayLeave.abort();
    this.#isNoted.abort();
  };

  #greet(): void {
    this.#hasPrimary = true;
    // Only now: while somebody listens for it, the channel keeps the process alive.
    process.once('disconnect', this.#onDisconnect);
    this.#send({ kind: 'here' });
  }

  #send(message: WorkerMessage): void {
    sendUnseen(process, message);
  }
}
