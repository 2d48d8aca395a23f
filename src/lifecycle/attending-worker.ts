import type { Worker } from 'node:cluster';
import { type CloseReport, mergeReports } from '../close/report.ts';
import { LastCallError } from '../errors.ts';
import { onUnseen, sendUnseen } from '../node-fields.ts';
import { isWorkerTells, type PrimaryTells, type ReportOverChannel } from './cluster-messages.ts';

/** A worker of a cluster, seen from its primary. */
export class AttendingWorker {
  readonly #worker: Worker;
  readonly #asked = new AbortController();
  readonly #gone = new AbortController();
  #hasLastCall = false;
  #isListening = false;
  #report: ReportOverChannel | undefined;
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
      if (body.kind === 'closed') {
        this.#report = body.report;
        this.#tell({ kind: 'noted' });
      }
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
  }

  /** One without lastcall goes on until it may leave. */
  tellStop(reason: string, deadline: number): void {
    // A program that forks a worker for each that goes looks at this.
    this.#worker.exitedAfterDisconnect = true;
    if (this.#hasLastCall) this.#tell({ kind: 'stop', reason, deadline });
    else this.#asked.abort();
  }

  async hasAsked(limit: AbortSignal): Promise<void> {
    await eitherAborts(this.#asked.signal, limit);
  }

  letLeave(): void {
    if (this.#hasLastCall) this.#tell({ kind: 'leave' });
    // Node's own way: its servers close, and it ends when its connections have.
    else if (this.#worker.isConnected()) this.#worker.disconnect();
  }

  /** Resolves when it has ended, or `limit` aborts, with its report. */
  async gone(limit: AbortSignal): Promise<CloseReport> {
    await eitherAborts(this.#gone.signal, limit);
    const name = `Worker ${this.#worker.id} (process ${this.pid})`;
    const nothing = mergeReports([]);
    if (this.#report !== undefined) {
      const errors = this.#report.errors.map((message) => new LastCallError('ERR_WORKER', `${name}: ${message}`));
      return { ...this.#report, errors };
    }
    const how = this.#end === '' ? 'had not ended in time' : `ended with ${this.#end} before it had closed`;
    const isWell = this.#end === 'exit code 0' && !this.#hasLastCall;
    return isWell ? nothing : { ...nothing, errors: [new LastCallError('ERR_WORKER', `${name} ${how}`)] };
  }

  #greet(): void {
    this.#hasLastCall = true;
    this.#tell({ kind: 'hello' });
  }

  #tell(what: PrimaryTells): void {
    sendUnseen(this.#worker.process, what);
  }
}

async function eitherAborts(one: AbortSignal, other: AbortSignal): Promise<void> {
  if (one.aborted || other.aborted) return;
  await new Promise<void>((resolve) => {
    one.addEventListener('abort', () => resolve(), { once: true });
    other.addEventListener('abort', () => resolve(), { once: true });
  });
}
