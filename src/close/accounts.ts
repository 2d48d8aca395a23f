import type { ConnectionsReport, CutConnection } from './report.ts';

/** Keeps count of a close's connections. */
export class ConnectionAccounts {
  readonly #cut: CutConnection[] = [];
  #atStart = 0;
  #fromQueues = 0;
  #ended = 0;
  #lateRequests = 0;
  #eventStreams = 0;
  #said = 0;
  #answered = 0;

  get ended(): number {
    return this.#ended;
  }

  report(): ConnectionsReport {
    return {
      atStart: this.#atStart,
      fromQueues: this.#fromQueues,
      ended: this.#ended,
      lateRequests: this.#lateRequests,
      eventStreams: this.#eventStreams,
      farewells: { said: this.#said, answered: this.#answered, unanswered: this.#said - this.#answered },
      cut: this.#cut,
    };
  }

  countOpen(fromQueue: boolean): void {
    if (fromQueue) this.#fromQueues += 1;
    else this.#atStart += 1;
  }

  /** It has gone to another process, which counts it. */
  uncountOpen(fromQueue: boolean): void {
    if (fromQueue) this.#fromQueues -= 1;
    else this.#atStart -= 1;
  }

  countEnded(): void {
    this.#ended += 1;
  }

  countCut(cut: CutConnection): void {
    this.#cut.push(cut);
  }

  countLate(): void {
    this.#lateRequests += 1;
  }

  countEventStream(): void {
    this.#eventStreams += 1;
  }

  countSaid(): void {
    this.#said += 1;
  }

  countAnswered(): void {
    this.#answered += 1;
  }
}
