import type { Writable } from 'node:stream';
import type { OutgoingMessage } from 'node:http';
import { type Original, replaceMethod } from '../../node/replace.ts';
import { writtenBytes } from '../../node/written.ts';
import { LONGEST_PAUSE, SHORTEST_PAUSE } from '../protocol-end.ts';
import { EventText } from './event-text.ts';

/** Where an event stream is written to. */
export interface EventOutlet {
  readonly stream: OutgoingMessage | Writable;
  /** Whether what the program writes is the text of the events; it is not where it is compressed. */
  readonly isText: boolean;
  /** Ends it by the connection. */
  end(): void;
}

/**
 * The early end of one event stream: between two events, after the close has known it for some time. The program, or a proxy,
 * may write an event in pieces; so what is written is followed, and the stream ends behind a blank line only. One on which
 * nothing is written meanwhile counts as being between two events.
 */
export class EventStreamEnding {
  readonly #outlet: EventOutlet;
  readonly #text = new EventText();
  readonly #dueAt: number;
  /** When it ends at the latest, in an event or not: its client throws away what it has of that event. */
  readonly #endsBy: number;
  readonly #undo: readonly (() => unknown)[];
  #hasWritten = false;
  /** Whether the last event that goes out was written: it ends when that has gone. */
  #isStopped = false;
  #isOver = false;

  /** It ends after `idleWait` ms, and by `endsBy` on the clock of `performance.now()`. */
  constructor(outlet: EventOutlet, idleWait: number, endsBy: number) {
    this.#outlet = outlet;
    this.#dueAt = performance.now() + idleWait;
    this.#endsBy = endsBy;
    const { stream } = outlet;
    const write = replaceMethod(
      stream,
      'write',
      (original) =>
        (...args: readonly unknown[]) =>
          this.#write(original, args),
    );
    // A last chunk would be the end of a response that is whole.
    const end = replaceMethod(stream, 'end', (original) => (...args: readonly unknown[]) => {
      return this.#isStopped ? stream : original(stream, args);
    });
    this.#undo = [end.undo, write.undo];
  }

  /** Ends it if that is due. Returns in how many ms to look again. */
  look(): number {
    const now = performance.now();
    if (this.#isOver) return LONGEST_PAUSE;
    if (now < this.#dueAt) return Math.min(LONGEST_PAUSE, this.#dueAt - now);
    const isBetween = !this.#hasWritten || !this.#outlet.isText || this.#text.isBetweenEvents;
    const isWritten = this.#outlet.stream.writableLength === 0;
    if ((isBetween && isWritten) || now >= this.#endsBy) {
      this.#isStopped = true;
      this.#isOver = true;
      this.#outlet.end();
    }
    // The next event that ends is the last.
    return SHORTEST_PAUSE;
  }

  #write(original: Original, args: readonly unknown[]): unknown {
    const { stream, isText } = this.#outlet;
    if (this.#isStopped) return dropped(args);
    this.#hasWritten = true;
    const bytes = isText ? writtenBytes(args) : undefined;
    if (bytes === undefined) return original(stream, args);
    if (performance.now() < this.#dueAt) {
      this.#text.read(bytes);
      return original(stream, args);
    }
    const length = this.#text.readToBoundary(bytes);
    if (length === undefined) return original(stream, args);
    this.#isStopped = true;
    if (length > 0) original(stream, [bytes.subarray(0, length)]);
    return dropped(args);
  }

  /** Puts the methods of the stream back. */
  release(): void {
    for (const undo of this.#undo) undo();
  }
}

/** The program need not know that what it writes goes nowhere: it hears of the end of the connection. */
function dropped(args: readonly unknown[]): true {
  const callback = args.findLast((argument) => typeof argument === 'function');
  if (typeof callback === 'function') process.nextTick(() => Reflect.apply(callback, undefined, []));
  return true;
}
