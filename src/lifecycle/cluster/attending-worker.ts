import type { Worker } from 'node:cluster';
import { constants } from 'node:os';
import { type CloseReport, mergeReports } from '../../close/report.ts';
import { LastCallError } from '../../errors.ts';
import { forManyListeners } from '../../node/abort.ts';
import { untilAborted } from '../until.ts';
import { onUnseen, sendUnseen } from '../../node/fields.ts';
import { isWorkerTells, type PrimaryTells, type ReportOverChannel } from './messages.ts';

/** A worker of a cluster, seen from its primary. */
export class AttendingWorker {
  readonly #worker: Worker;
  readonly #asked = forManyListeners();
  readonly #gone = forManyListeners();
  #hasLastCall = false;
  #isListening = false;
  #hasListened = false;
  #wasLeaving = false;
  #report: ReportOverChannel | undefined;
  /** What it has been told, for one that is not there yet. */
  readonly #told: PrimaryTells[] = [];
  /** What it is to get, unless it serves. */
  #signal: NodeJS.Signals | undefined;
  #end = '';

  constructor(worker: Worker, onAsk: () => void) {
    this.#worker = worker;
    const unhear = onUnseen(worker.process, (body) => {
      if (!isWorkerTells(body)) return;
      if (body.kind === 'here' && !this.#hasLastCall) this.#greet();
      if (body.kind === 'asks') {
        this.#asked.abort();
        onAsk();
      }
      if (body.kind === 'closed') this.#noteClosed(body.report, body.exits);
    });
    worker.once('exit', (code, signal) => {
      unhear();
      this.#isListening = false;
      this.#end = signal ?? `exit code ${code}`;
      this.#asked.abort();
      this.#gone.abort();
    });
    this.#tell({ kind: 'hello' });
  }

  get pid(): number {
    return this.#worker.process.pid ?? 0;
  }

  get isListening(): boolean {
    return this.#isListening;
  }

  /** Whether it would close now. */
  get isAsking(): boolean {
    return this.#asked.signal.aborted;
  }

  noteListening(): void {
    this.#isListening = true;
    this.#hasListened = true;
  }

  /**
   * One without lastcall goes on until it may leave; one that serves nobody gets the signal, as if it were alone. One that
   * starts just now may be about to serve: it has time until the others leave.
   */
  tellStop(reason: string, deadline: number, isStarting: boolean): void {
    // The program itself may have told it to go.
    this.#wasLeaving = this.#worker.exitedAfterDisconnect;
    // Node does not let a worker listen that is marked so.
    if (!isStarting) this.#markAsLeaving();
    this.#tellOrKeep({ kind: 'stop', reason, deadline });
    if (this.#hasLastCall) return;
    this.#asked.abort();
    this.#signal = isSignal(reason) ? reason : 'SIGTERM';
    if (!isStarting) this.#signalIfIdle();
  }

  /** Resolves when it would close now; after `most` milliseconds, or when `soon` aborts, in any case. */
  async hasAsked(most: number, soon: AbortSignal): Promise<void> {
    await untilAborted([this.#asked.signal, soon], most);
  }

  letLeave(): void {
    this.#markAsLeaving();
    this.#tellOrKeep({ kind: 'leave' });
    // Node's own way: its servers close, and it ends when its connections have.
    if (!this.#hasLastCall && this.#isListening && this.#worker.isConnected()) this.#worker.disconnect();
    this.#signalIfIdle();
  }

  /** A program that forks a worker for each that goes looks at this. */
  #markAsLeaving(): void {
    this.#worker.exitedAfterDisconnect = true;
  }

  #signalIfIdle(): void {
    if (this.#hasLastCall || this.#isListening || this.#signal === undefined) return;
    this.#worker.process.kill(this.#signal);
    this.#signal = undefined;
  }

  /**
   * Resolves when it has ended, with its report. After `most` milliseconds, or when `now` aborts, it is killed: it would outlive
   * this process.
   */
  async gone(most: number, now: AbortSignal): Promise<CloseReport> {
    await untilAborted([this.#gone.signal, now], most);
    if (!this.#gone.signal.aborted) this.#worker.process.kill('SIGKILL');
    const name = `Worker ${this.#worker.id} (process ${this.pid})`;
    const nothing = mergeReports([]);
    if (this.#report !== undefined) {
      const errors = this.#report.errors.map((message) => new LastCallError('ERR_WORKER', `${name}: ${message}`));
      return { ...this.#report, errors };
    }
    const how = this.#end === '' ? 'had not ended in time' : `ended with ${this.#end} before it had closed`;
    // Of one that serves nobody nothing is lost, however it ends.
    const isLost = this.#hasLastCall && !this.#wasLeaving;
    const isWell = this.#end !== '' && ((this.#end === 'exit code 0' && !isLost) || !this.#hasListened);
    return isWell ? nothing : { ...nothing, errors: [new LastCallError('ERR_WORKER', `${name} ${how}`)] };
  }

  #noteClosed(report: ReportOverChannel, exits: boolean): void {
    this.#report = report;
    this.#tell({ kind: 'noted' });
    // Its channel is all that keeps it.
    if (!exits && this.#worker.isConnected()) this.#worker.disconnect();
  }

  #greet(): void {
    this.#hasLastCall = true;
    this.#tell({ kind: 'hello' });
    for (const what of this.#told.splice(0)) this.#tell(what);
  }

  #tellOrKeep(what: PrimaryTells): void {
    if (this.#hasLastCall) this.#tell(what);
    else this.#told.push(what);
  }

  #tell(what: PrimaryTells): void {
    sendUnseen(this.#worker.process, what);
  }
}

function isSignal(name: string): name is NodeJS.Signals {
  return Object.hasOwn(constants.signals, name);
}
