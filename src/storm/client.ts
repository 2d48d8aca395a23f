import { Connection, type Target } from './connection.ts';
import type { CheckedStormOptions } from './options.ts';
import { type Ending, type Moment, type Outcome, outcomeOf } from './outcome.ts';
import { ResponseReader } from './response-reader.ts';

/** What a client asks of, and tells, the storm that it belongs to. */
export interface ClientHost {
  readonly options: CheckedStormOptions;
  /** A number in [0, 1). */
  random(): number;
  /** Whether one more request may be begun; if so it is taken. */
  claimRequest(): boolean;
  note(outcome: Outcome, message: string): void;
  noteServed(latency: number, status: number): void;
  connectionOpening(): void;
  connectionEstablished(): void;
  connectionClosed(): void;
  clientLeft(): void;
}

/** After an error of our own, such as EMFILE, and when a Unix socket's queue is full: no use in trying at once. */
const RETRY_MILLISECONDS = 10;

/** One client: asks, waits for the answer, says what became of it, thinks, and asks again. */
export class Client {
  readonly #host: ClientHost;
  readonly #localAddress: string | undefined;
  #moment: Moment | 'away' | 'left' = 'away';
  #connection: Connection | undefined;
  #reader = new ResponseReader();
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(host: ClientHost, localAddress: string | undefined) {
    this.#host = host;
    this.#localAddress = localAddress;
  }

  ask(): void {
    if (!this.#host.claimRequest()) {
      this.leave();
      return;
    }
    const { request, timeout } = this.#host.options;
    this.#startedAt = performance.now();
    this.#reader = new ResponseReader();
    this.#timer = setTimeout(() => this.#settle('unanswered', `${this.#moment} for ${timeout} ms`), timeout);
    if (this.#connection === undefined) {
      this.#connect();
    } else {
      this.#moment = 'asked again';
      this.#connection.send(request);
    }
  }

  /** Lets a request under way finish; a client without one goes at once. */
  stop(): void {
    if (this.#moment === 'idle' || this.#moment === 'away') this.leave();
  }

  /** Gives up what is under way. */
  abort(): void {
    if (this.#moment === 'left') return;
    if (this.#moment !== 'idle' && this.#moment !== 'away') this.#host.note('aborted', this.#moment);
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
        this.#connection?.send(host.options.request);
      },
      onBytes: (chunk) => this.#read(chunk),
      onEnded: (ending, message) => this.#ended(ending, message),
      onClosed: () => host.connectionClosed(),
    });
  }

  #read(chunk: Buffer): void {
    if (this.#moment === 'idle') {
      // Bytes that answer nothing: the connection cannot be trusted with another request (RFC 9112 section 9.2).
      this.#dropConnection();
      this.#moment = 'away';
      return;
    }
    this.#moment = 'answering';
    const state = this.#reader.push(chunk);
    if (state === 'whole') this.#served();
    else if (state === 'malformed') this.#settle('cut', this.#reader.problem);
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
      this.#host.note(outcome, message);
    } else if (ending === 'EOF' && this.#reader.end() === 'whole') {
      this.#served();
    } else {
      this.#settle(outcome, message);
    }
  }

  #served(): void {
    clearTimeout(this.#timer);
    this.#host.noteServed(performance.now() - this.#startedAt, this.#reader.status);
    const reuse = this.#host.options.keepAlive && this.#reader.reusable;
    if (!reuse) this.#dropConnection();
    this.#pause(this.#thinkTime());
  }

  #settle(outcome: Outcome, message: string): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    this.#host.note(outcome, message);
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
