import type net from 'node:net';
import { type Original, replaceMethod } from '../../node/replace.ts';
import { writtenBytes } from '../../node/written.ts';
import { FramePosition } from './frame-position.ts';
import { clientFoundOn } from './found-client.ts';

const followed = new WeakMap<net.Socket, OutgoingFrames>();

/** The frames that go out on a connection; undefined where nobody follows them. */
export function framesOn(program: net.Socket): OutgoingFrames | undefined {
  return followed.get(program);
}

/**
 * Follows what is written to a connection that becomes a WebSocket, from the answer to the upgrade on: whoever writes a frame of
 * its own there has to know where the others end. A proxy writes them in pieces. The `ws` package writes whole frames; once its
 * object is there nothing is followed any more.
 */
export function followFrames(program: net.Socket): void {
  if (!followed.has(program)) followed.set(program, new OutgoingFrames(program));
}

export class OutgoingFrames {
  readonly #program: net.Socket;
  readonly #position = new FramePosition();
  readonly #undo: () => unknown;
  #isFollowing = true;
  /** Whether it was asked once whether the `ws` package writes the frames. */
  #hasAsked = false;
  #atMessageEnd: (() => Uint8Array) | undefined;

  constructor(program: net.Socket) {
    this.#program = program;
    this.#undo = replaceMethod(
      program,
      'write',
      (original) =>
        (...args: readonly unknown[]) =>
          this.#write(original, args),
    ).undo;
  }

  get position(): FramePosition {
    return this.#position;
  }

  /** Calls back once, when the message that is going out has ended, and writes what that returns behind it. */
  writeAtMessageEnd(makeBytes: () => Uint8Array): void {
    this.#atMessageEnd = makeBytes;
  }

  #write(original: Original, args: readonly unknown[]): unknown {
    if (!this.#isFollowing || this.#isOfWs() || this.#position.isLost) return original(this.#program, args);
    const bytes = writtenBytes(args);
    if (bytes === undefined) {
      this.#stop();
      return original(this.#program, args);
    }
    const makeBytes = this.#atMessageEnd;
    const end = this.#position.read(bytes, makeBytes !== undefined);
    if (makeBytes === undefined || !this.#position.isBetweenMessages) return original(this.#program, args);
    this.#atMessageEnd = undefined;
    const [ours, rest] = [makeBytes(), bytes.subarray(end)];
    for (const part of [bytes.subarray(0, end), ours]) original(this.#program, [part]);
    // It goes behind the Close, where the client no longer reads it.
    for (const part of [ours, rest]) this.#position.read(part);
    return original(this.#program, [rest, ...args.filter((argument) => typeof argument === 'function')]);
  }

  #isOfWs(): boolean {
    if (this.#hasAsked || !this.#position.hasBegun) return false;
    this.#hasAsked = true;
    const isOfWs = clientFoundOn(this.#program) !== undefined;
    if (isOfWs) this.#stop();
    return isOfWs;
  }

  #stop(): void {
    this.#isFollowing = false;
    this.#undo();
    followed.delete(this.#program);
  }
}
