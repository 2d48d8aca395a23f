import { isSignal } from '../../signals.ts';
import { type CloseReport, mergeReports } from '../../close/report.ts';
import { LastCallError } from '../../errors.ts';
import { forManyListeners } from '../../node/abort.ts';
import { onUnseen, sendUnseen } from '../../node/fields.ts';
import { waitForAbort } from '../wait.ts';
import { ForkedChild, type WorkerLike } from './forked-child.ts';
import { isWorkerMessage, type PrimaryMessage, type ReportMessage } from './messages.ts';

/** One worker of a cluster, or a child that is sent connections, as its primary sees it. */
export class WorkerProcess {
  readonly #worker: WorkerLike;
  readonly #asked = forManyListeners();
  readonly #gone = forManyListeners();
  #hasLastCall = false;
  #isListening = false;
  #hasListened = false;
  #wasLeaving = false;
  #report: ReportMessage | undefined;
  /** Messages that wait until the worker shows that it has lastcall. */
  readonly #unsent: PrimaryMessage[] = [];
  /** The signal that it gets unless it serves. */
  #signal: NodeJS.Signals | undefined;
  #end = '';

  constructor(worker: WorkerLike, onAsk: () => void) {
    this.#worker = worker;
    const stopListening = onUnseen(worker.process, (body) => {
      if (!isWorkerMessage(body)) return;
      if (body.kind === 'here' && !this.#hasLastCall) this.#greet();
      if (body.kind === 'asks') {
        this.#asked.abort();
        onAsk();
      }
      if (body.kind === 'closed') this.#noteClosed(body.report, body.exits);
    });
    worker.once('exit', (code, signal) => {
      stopListening();
      this.#isListening = false;
      this.#end = signal ?? `exit code ${code}`;
      this.#asked.abort();
      this.#gone.abort();
    });
    this.#send({ kind: 'hello' });
  }

  get pid(): number {
    return this.#worker.process.pid ?? 0;
  }

  get isListening(): boolean {
    return this.#isListening;
  }

  /** Whether it has asked to close. */
  get isAsking(): boolean {
    return this.#asked.signal.aborted;
  }

  /** Whether this is the worker with this process. */
  isOf(child: unknown): boolean {
    return this.#worker.process === child;
  }

  noteListening(): void {
    this.#isListening = true;
    this.#hasListened = true;
  }

  /**
   * A worker without lastcall goes on until it may leave. One that does not serve gets the signal, as if it were alone. One that
   * is starting may be about to serve: it has time until the others leave.
   */
  stop(reason: string, deadline: number, isStarting: boolean): void {
    // The program itself may have disconnected it.
    this.#wasLeaving = this.#worker.exitedAfterDisconnect;
    // Node does not let a marked worker listen.
    if (!isStarting) this.#markAsLeaving();
    this.#sendOrKeep({ kind: 'stop', reason, deadline });
    if (this.#hasLastCall) return;
    this.#asked.abort();
    this.#signal = isSignal(reason) ? reason : 'SIGTERM';
    if (!isStarting) this.#signalIfIdle();
  }

  /** Resolves when it asks to close, after `most` ms, or when `skip` aborts. */
  async asks(most: number, skip: AbortSignal): Promise<void> {
    await waitForAbort([this.#asked.signal, skip], most);
  }

  letLeave(): void {
    this.#markAsLeaving();
    this.#sendOrKeep({ kind: 'leave' });
    // Node's own way: its servers close, and it ends when its connections have.
    if (!this.#hasLastCall && this.#isListening && this.#worker.isConnected()) this.#worker.disconnect();
    this.#signalIfIdle();
  }

  /** For programs that fork a new worker for each one that exits: they look at this. */
  #markAsLeaving(): void {
    this.#worker.exitedAfterDisconnect = true;
  }

  #signalIfIdle(): void {
    if (this.#hasLastCall || this.#isListening || this.#signal === undefined) return;
    this.#worker.process.kill(this.#signal);
    this.#signal = undefined;
  }

  /**
   * Resolves with its report when it has ended. It is killed after `most` ms, or when `cut` aborts: it would outlive this
   * process.
   */
  async gone(most: number, cut: AbortSignal): Promise<CloseReport> {
    await waitForAbort([this.#gone.signal, cut], most);
    if (!this.#gone.signal.aborted && !this.#isForked) this.#worker.process.kill('SIGKILL');
    const name = this.#name;
    const nothing = mergeReports([]);
    if (this.#report !== undefined) {
      const errors = this.#report.errors.map((message) => new LastCallError('ERR_WORKER', `${name}: ${message}`));
      return { ...this.#report, errors };
    }
    const how = this.#end === '' ? 'did not end in time' : `ended with ${this.#end} before it had closed`;
    // A worker that never listened has no clients to lose, however it ends.
    const isLost = this.#hasLastCall && !this.#wasLeaving;
    const isWell = this.#end !== '' && ((this.#end === 'exit code 0' && !isLost) || !this.#hasListened);
    if (isWell) return nothing;
    return { ...nothing, outcome: 'forced', errors: [new LastCallError('ERR_WORKER', `${name} ${how}`)] };
  }

  #noteClosed(report: ReportMessage, exits: boolean): void {
    this.#report = report;
    this.#send({ kind: 'noted' });
    // What it does besides is its own.
    if (this.#isForked) this.#gone.abort();
    // Only its channel keeps it alive.
    if (!exits && this.#worker.isConnected()) this.#worker.disconnect();
  }

  get #isForked(): boolean {
    return this.#worker instanceof ForkedChild;
  }

  get #name(): string {
    const id: unknown = Reflect.get(this.#worker, 'id');
    return typeof id === 'number' ? `Worker ${id} (process ${this.pid})` : `Child process ${this.pid}`;
  }

  #greet(): void {
    this.#hasLastCall = true;
    this.#send({ kind: 'hello' });
    for (const message of this.#unsent.splice(0)) this.#send(message);
  }

  #sendOrKeep(message: PrimaryMessage): void {
    if (this.#hasLastCall) this.#send(message);
    else this.#unsent.push(message);
  }

  #send(message: PrimaryMessage): void {
    sendUnseen(this.#worker.process, message);
  }
}
