import { Connection, type Target } from './connection.ts';
import type { CheckedStormOptions } from './options.ts';
import { type Ending, type Moment, type Outcome, outcomeOf } from './outcome.ts';
import { ResponseReader } from './response-reader.ts';

/** What a client asks of, and tells, the storm that it belongs to. */
export interface ClientHost {
  readonly options: CheckedStormOptions;
  /** A number in [0, 1). */
  random(): number;
  /** Takes up to so many requests to begin; returns how many it got. */
  claimRequests(most: number): number;
  note(outcome: Outcome, message: string, requests: number): void;
  noteServed(latency: number, status: number): void;
  connectionOpening(): void;
  connectionEstablished(): void;
  connectionClosed(): void;
  clientLeft(): void;
}

/** After an error of our own, such as EMFILE, and when a Unix socket's queue is full: no use in trying at once. */
const RETRY_MILLISECONDS = 10;

/** One client: asks, waits for the answers, says what became of each request, thinks, and asks again. */
export class Client {
  readonly #host: ClientHost;
  readonly #localAddress: string | undefined;
  #moment: Moment | 'away' | 'left' = 'away';
  #connection: Connection | undefined;
  #reader = new ResponseReader();
  /** Requests that have no whole answer yet, the one that is being answered first. */
  #outstanding = 0;
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(host: ClientHost, localAddress: string | undefined) {
    this.#host = host;
    this.#localAddress = localAddress;
  }

  ask(): void {
    const { pipeline, timeout } = this.#host.options;
    this.#outstanding = this.#host.claimRequests(pipeline);
    if (this.#outstanding === 0) {
      this.leave();
      return;
    }
    this.#startedAt = performance.now();
    this.#reader = new ResponseReader();
    this.#timer = setTimeout(() => this.#settle('unanswered', `${this.#moment} for ${timeout} ms`), timeout);
    if (this.#connection === undefined) {
      this.#connect();
    } else {
      this.#moment = 'asked again';
      this.#send(this.#connection);
    }
  }

  /** Lets what is under way finish; a client that has asked nothing goes at once. */
  stop(): void {
    if (this.#moment === 'idle' || this.#moment === 'away') this.leave();
  }

  /** Gives up what is under way. */
  abort(): void {
    if (this.#moment === 'left') return;
    if (this.#moment !== 'idle' && this.#moment !== 'away') this.#host.note('aborted', this.#moment, this.#outstanding);
    this.leave();
  }

  /** Closes what is open; nothing of the client stays behind. */
  leave(): void {
    if (this.#moment === 'left') return;
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#dropConnection();
    this.#moment = 'left';
    this.#host.clientLeft();
  }

  #connect(): void {
    const host = this.#host;
    const target: Target = host.options.target;
    this.#moment = 'connecting';
    host.connectionOpening();
    this.#connection = new Connection(target, this.#localAddress, {
      onEstablished: () => {
        host.connectionEstablished();
        this.#moment = 'asked';
        if (this.#connection !== undefined) this.#send(this.#connection);
      },
      onBytes: (chunk) => this.#read(chunk),
      onEnded: (ending, message) => this.#ended(ending, message),
      onClosed: () => host.connectionClosed(),
    });
  }

  /** Writes the requests together, so that the server may read them in one piece. */
  #send(connection: Connection): void {
    const { request } = this.#host.options;
    connection.send(this.#outstanding === 1 ? request : Buffer.concat(Array(this.#outstanding).fill(request)));
  }

  #read(chunk: Buffer): void {
    if (this.#moment === 'idle') {
      // Bytes that answer nothing: the connection cannot be trusted with another request (RFC 9112 section 9.2).
      this.#dropConnection();
      this.#moment = 'away';
      return;
    }
    let rest = chunk;
    while (rest.length > 0) {
      this.#moment = 'answering';
      const state = this.#reader.push(rest);
      if (state === 'malformed') this.#settle('cut', this.#reader.problem);
      if (state !== 'whole') return;
      rest = rest.subarray(rest.length - this.#reader.surplus);
      if (!this.#served()) return;
    }
  }

  #ended(ending: Ending, message: string): void {
    if (this.#moment === 'away' || this.#moment === 'left') return;
    if (ending === 'EAGAIN' && this.#moment === 'connecting') {
      // A Unix socket whose queue is full: connect(2) would wait, had it been asked to block.
      this.#retry = setTimeout(() => this.#connect(), RETRY_MILLISECONDS);
      return;
    }
    const outcome = outcomeOf(this.#moment, ending);
    if (ending === 'ECONNRESET' && this.#moment === 'connecting') this.#host.connectionEstablished();
    if (this.#moment === 'idle') {
      this.#connection = undefined;
      this.#moment = 'away';
      this.#host.note(outcome, message, 1);
    } else if (ending === 'EOF' && this.#reader.end() === 'whole') {
      this.#served();
    } else {
      this.#settle(outcome, message, outcome === 'cut' ? outcomeOf('asked again', ending) : outcome);
    }
  }

  /** Returns whether the next answer is to follow on the connection. */
  #served(): boolean {
    this.#host.noteServed(performance.now() - this.#startedAt, this.#reader.status);
    this.#outstanding -= 1;
    if (this.#outstanding > 0 && !this.#reader.endsConnection) {
      this.#reader = new ResponseReader();
      this.#moment = 'asked again';
      return true;
    }

    clearTimeout(this.#timer);
    if (this.#outstanding > 0) this.#host.note('unprocessed', 'behind the last answer', this.#outstanding);
    if (!this.#host.options.keepAlive || !this.#reader.reusable) this.#dropConnection();
    this.#pause(this.#thinkTime());
    return false;
  }

  /** Says what became of the first request that is outstanding, and of those behind it. */
  #settle(outcome: Outcome, message: string, ofOthers: Outcome = outcome): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#host.note(outcome, message, 1);
    if (this.#outstanding > 1) this.#host.note(ofOthers, message, this.#outstanding - 1);
    this.#dropConnection();

    const { afterRefusal } = this.#host.options;
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
    const [min, max] = this.#host.options.thinkTime;
    return min + (max - min) * this.#host.random();
  }

  #dropConnection(): void {
    this.#connection?.drop();
    this.#connection = undefined;
  }
}
