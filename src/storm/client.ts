import { Connection, type Target } from './connection.ts';
import { type Ending, type Moment, type Outcome, outcomeOf } from './outcome.ts';
import { ResponseReader } from './response-reader.ts';
import type { Tally } from './tally.ts';

/** The pause after an error of our own, such as EMFILE, and when the queue of a Unix socket is full, in ms. */
const RETRY_MILLISECONDS = 10;

/** One client: sends requests, waits for the answers, reports the outcome of each request, pauses, and sends again. */
export class Client {
  readonly #tally: Tally;
  readonly #localAddress: string | undefined;
  #moment: Moment | 'away' | 'left' = 'away';
  #connection: Connection | undefined;
  #reader = new ResponseReader();
  /** Requests without a complete answer, in their order. */
  #outstanding = 0;
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(tally: Tally, localAddress: string | undefined) {
    this.#tally = tally;
    this.#localAddress = localAddress;
  }

  /** Sends the next requests, or leaves if there are none. */
  ask(): void {
    const { pipeline, timeout } = this.#tally.options;
    this.#outstanding = this.#tally.claimRequests(pipeline);
    if (this.#outstanding === 0) {
      this.leave();
      return;
    }
    this.#startedAt = performance.now();
    this.#reader = new ResponseReader();
    this.#timer = setTimeout(() => this.#finish('unanswered', `${this.#moment} for ${timeout} ms`), timeout);
    if (this.#connection === undefined) {
      this.#connect();
    } else {
      this.#moment = 'asked again';
      this.#send(this.#connection);
    }
  }

  /** Leaves once the requests under way are answered; at once if there are none. */
  stop(): void {
    if (this.#moment === 'idle' || this.#moment === 'away') this.leave();
  }

  /** Leaves at once. */
  abort(): void {
    if (this.#moment === 'left') return;
    if (this.#moment !== 'idle' && this.#moment !== 'away')
      this.#tally.note('aborted', this.#moment, this.#outstanding);
    this.leave();
  }

  /** Closes the connection, and stops all timers. */
  leave(): void {
    if (this.#moment === 'left') return;
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#dropConnection();
    this.#moment = 'left';
    this.#tally.clientLeft();
  }

  #connect(): void {
    const tally = this.#tally;
    const target: Target = tally.options.target;
    this.#moment = 'connecting';
    tally.connectionOpening();
    this.#connection = new Connection(target, this.#localAddress, {
      onEstablished: () => {
        tally.connectionEstablished();
        this.#moment = 'asked';
        if (this.#connection !== undefined) this.#send(this.#connection);
      },
      onBytes: (chunk) => this.#read(chunk),
      onEnded: (ending, message) => this.#ended(ending, message),
      onClosed: () => tally.connectionClosed(),
    });
  }

  /** Writes the requests together, so that the server can read them in one piece. */
  #send(connection: Connection): void {
    const { request } = this.#tally.options;
    connection.send(this.#outstanding === 1 ? request : Buffer.concat(Array(this.#outstanding).fill(request)));
  }

  #read(chunk: Buffer): void {
    if (this.#moment === 'idle') {
      // Bytes without a request: the connection must not carry another request (RFC 9112 section 9.2).
      this.#dropConnection();
      this.#moment = 'away';
      return;
    }
    let rest = chunk;
    while (rest.length > 0) {
      this.#moment = 'answering';
      const state = this.#reader.push(rest);
      if (state === 'malformed') this.#finish('cut', this.#reader.problem);
      if (state !== 'whole') return;
      rest = rest.subarray(rest.length - this.#reader.surplus);
      if (!this.#served()) return;
    }
  }

  #ended(ending: Ending, message: string): void {
    if (this.#moment === 'away' || this.#moment === 'left') return;
    if (ending === 'EAGAIN' && this.#moment === 'connecting') {
      // The queue of the Unix socket is full: a blocking connect(2) would wait.
      this.#retry = setTimeout(() => this.#connect(), RETRY_MILLISECONDS);
      return;
    }
    const outcome = outcomeOf(this.#moment, ending);
    if (ending === 'ECONNRESET' && this.#moment === 'connecting') this.#tally.connectionEstablished();
    if (this.#moment === 'idle') {
      this.#connection = undefined;
      this.#moment = 'away';
      this.#tally.note(outcome, message, 1);
    } else if (ending === 'EOF' && this.#reader.end() === 'whole') {
      this.#served();
    } else {
      this.#finish(outcome, message, outcome === 'cut' ? outcomeOf('asked again', ending) : outcome);
    }
  }

  /** Returns whether the next answer follows on the connection. */
  #served(): boolean {
    this.#tally.noteServed(performance.now() - this.#startedAt, this.#reader.status);
    this.#outstanding -= 1;
    if (this.#outstanding > 0 && !this.#reader.endsConnection) {
      this.#reader = new ResponseReader();
      this.#moment = 'asked again';
      return true;
    }

    clearTimeout(this.#timer);
    if (this.#outstanding > 0) this.#tally.note('unprocessed', 'behind the last answer', this.#outstanding);
    if (!this.#tally.options.keepAlive || !this.#reader.reusable) this.#dropConnection();
    this.#pause(this.#thinkTime());
    return false;
  }

  /** Reports the outcome of the first outstanding request, and of those behind it. */
  #finish(outcome: Outcome, message: string, ofOthers: Outcome = outcome): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#tally.note(outcome, message, 1);
    if (this.#outstanding > 1) this.#tally.note(ofOthers, message, this.#outstanding - 1);
    this.#dropConnection();

    const { afterRefusal } = this.#tally.options;
    if (outcome === 'failed') this.#pause(RETRY_MILLISECONDS);
    else if (outcome !== 'refused') this.#pause(this.#thinkTime());
    else if (afterRefusal === 'stop') this.leave();
    else this.#pause(Math.max(1, afterRefusal));
  }

  #pause(milliseconds: number): void {
    this.#moment = this.#connection === undefined ? 'away' : 'idle';
    if (milliseconds === 0) this.ask();
    else this.#timer = setTimeout(() => this.ask(), milliseconds);
  }

  #thinkTime(): number {
    const [min, max] = this.#tally.options.thinkTime;
    return min + (max - min) * this.#tally.random();
  }

  #dropConnection(): void {
    this.#connection?.drop();
    this.#connection = undefined;
  }
}
