import type { CutConnection } from './connection.ts';

/** The part of a report that is about connections: each is counted once, as ended or as cut. */
export interface ConnectionsReport {
  /** Open in the program when the close began. */
  readonly atStart: number;
  /** Came in after that, out of the kernel's queues, those included that were never accepted. */
  readonly fromQueues: number;
  /** Came to an end before the deadline, whichever side ended them. */
  readonly ended: number;
  /** Requests that came, or answers that were to be sent, after our last word; their clients got no answer. */
  readonly lateRequests: number;
  /**
   * Connections that were told that they end in words of their protocol (`Connection: close`, GOAWAY, WebSocket Close, a
   * channel's GOODBYE, the `farewell` option's), and those of them whose client has answered: with its own words where the
   * protocol has some, else by ending its side. The others are `unanswered`.
   */
  readonly farewells: { readonly said: number; readonly answered: number; readonly unanswered: number };
  /** Those that were not brought to their end, each by name. */
  readonly cut: readonly CutConnection[];
}

/** Keeps count of a close's connections. */
export class ConnectionAccounts {
  readonly #cut: CutConnection[] = [];
  #atStart = 0;
  #fromQueues = 0;
  #ended = 0;
  #lateRequests = 0;
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
      farewells: { said: this.#said, answered: this.#answered, unanswered: this.#said - this.#answered },
      cut: this.#cut,
    };
  }

  countOpen(fromQueue: boolean): void {
    if (fromQueue) this.#fromQueues += 1;
    else this.#atStart += 1;
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

  countSaid(): void {
    this.#said += 1;
  }

  countAnswered(): void {
    this.#answered += 1;
  }
}
