import assert from 'node:assert/strict';
import type net from 'node:net';
import { FRAME } from '../../../src/channel/wire/frames.ts';
import { until } from '../../harness/wait.ts';
import type { ErrorVector, Step } from './vector-files.ts';

/** One connection: the bytes of the tested side, and those of the played side. */
export class PlayedConnection {
  readonly #socket: net.Socket;
  #bytes = Buffer.alloc(0);
  #hasEnded = false;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
    });
    socket.on('end', () => {
      this.#hasEnded = true;
    });
    socket.on('close', () => {
      this.#hasEnded = true;
    });
  }

  send({ hex, ends }: Step): void {
    if (hex !== '') this.#socket.write(Buffer.from(hex, 'hex'));
    if (ends === true) this.#socket.end();
  }

  /** Asserts that the tested side sends the bytes of the step, or ends its side, and sends nothing else before. */
  async expect({ hex, means, ends }: Step): Promise<void> {
    const bytes = await this.#take(hex.length / 2);
    assert.equal(bytes.toString('hex'), hex, means);
    if (ends === true) await this.#expectEnd();
  }

  /** Asserts that it sends this ERROR, and ends its side. */
  async expectError({ code, lastAccepted }: ErrorVector['error']): Promise<void> {
    const head = await this.#take(10);
    const payload = await this.#take(head.readUInt32BE());
    const error = { kind: head[4], lastAccepted: head.readUInt32BE(6), code: payload.readUInt16BE() };
    assert.deepEqual(error, { kind: FRAME.error, lastAccepted, code }, payload.toString('utf8', 2));
    await this.#expectEnd();
  }

  async #take(length: number): Promise<Buffer> {
    await until(`${length} bytes come`, () => this.#bytes.length >= length || this.#hasEnded);
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  async #expectEnd(): Promise<void> {
    await until('it ends', () => this.#hasEnded);
    assert.equal(this.#bytes.toString('hex'), '', 'it sent more than it should');
  }
}
