/** Handmade frames, for peers that break the protocol. */
import type net from 'node:net';
import { FRAME } from '../../src/channel/wire/frames.ts';
import { FrameReader } from '../../src/channel/wire/frame-reader.ts';
import { encodeHello, type Hello } from '../../src/channel/wire/hello.ts';
import { until } from '../harness/wait.ts';

export interface Frame {
  readonly kind: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

const names = new Map<number, keyof typeof FRAME>(
  Object.entries(FRAME).map(([name, kind]) => [kind, name as keyof typeof FRAME]),
);

export function frame(
  kind: keyof typeof FRAME | number,
  id: number,
  payload: Uint8Array = Buffer.alloc(0),
  flags = 1,
): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt32BE(payload.length);
  head[4] = typeof kind === 'number' ? kind : FRAME[kind];
  head[5] = flags;
  head.writeUInt32BE(id, 6);
  return Buffer.concat([head, payload]);
}

export function hello(changes: Partial<Hello> = {}): Buffer {
  const usual: Hello = {
    versions: [1, 1],
    maxFrame: 65_536,
    maxRequests: 0,
    credit: 1_048_576,
    requestCredit: 262_144,
    remembers: 0,
    store: '',
  };
  return frame('hello', 0, encodeHello({ ...usual, ...changes }), 0);
}

/** Reads the frames of the other side. */
export class WireReader {
  readonly frames: Frame[] = [];
  #hasClosed = false;

  constructor(socket: net.Socket) {
    const reader = new FrameReader(
      1 << 24,
      (kind, flags, id, payload) => this.frames.push({ kind, flags, id, payload: Buffer.from(payload) }),
      () => {},
    );
    socket.on('data', (chunk: Buffer) => reader.push(chunk));
    socket.on('close', () => (this.#hasClosed = true));
  }

  /** The kinds of the frames that have come, by name. */
  get kinds(): readonly string[] {
    return this.frames.map(({ kind }) => names.get(kind) ?? `${kind}`);
  }

  /** Resolves with the first frame of a kind. */
  async first(kind: keyof typeof FRAME): Promise<Frame> {
    const find = (): Frame | undefined => this.frames.find((frame) => frame.kind === FRAME[kind]);
    await until(`${kind} comes, after ${this.kinds.join(' ')}`, () => find() !== undefined || this.#hasClosed);
    const found = find();
    if (found === undefined) throw new Error(`The connection ended without ${kind}, after ${this.kinds.join(' ')}`);
    return found;
  }
}
