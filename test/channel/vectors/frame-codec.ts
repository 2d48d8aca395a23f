/** Frames and their content, by this package's own encoders and decoders. */
import assert from 'node:assert/strict';
import { FrameReader, type OnFrame } from '../../../src/channel/wire/frame-reader.ts';
import { FrameWriter } from '../../../src/channel/wire/frame-writer.ts';
import { FRAME, type GoodbyeReason, KEYED, NOTHING } from '../../../src/channel/wire/frames.ts';
import { decodeHello, encodeHello, type Hello } from '../../../src/channel/wire/hello.ts';
import {
  codeAndText,
  decodeGoodbye,
  encodeGoodbye,
  encodeKey,
  number32,
  read32,
  readCodeAndText,
  readKey,
} from '../../../src/channel/wire/payloads.ts';
import type { Meaning } from './vector-files.ts';

const KINDS: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(FRAME).map(([name, kind]) => [name === 'goodbyeAck' ? 'GOODBYE-ACK' : name.toUpperCase(), kind]),
);

/** The content of bytes that come in pieces of `pieceLength`. */
export function decodeFrames(bytes: Uint8Array, pieceLength: number): readonly Meaning[] {
  const frames: Meaning[] = [];
  const take: OnFrame = (kind, flags, id, payload) => frames.push(meaningOf(kind, flags, id, payload));
  const reader = new FrameReader(65_536, take, (length) => assert.fail(`a frame of ${length} bytes`));
  for (let at = 0; at < bytes.length; at += pieceLength) reader.push(bytes.subarray(at, at + pieceLength));
  return frames;
}

export function encodeFrame(meaning: Meaning): Buffer {
  const written: Uint8Array[] = [];
  const writer = new FrameWriter((chunks) => void written.push(...chunks));
  const kind = typeof meaning.kind === 'number' ? meaning.kind : KINDS[meaning.kind]!;
  const prefix = kind === FRAME.request && 'key' in meaning ? encodeKey(meaning.key as string) : NOTHING;
  writer.add(kind, meaning.flags, meaning.id, payloadOf(kind, meaning), prefix);
  writer.flush();
  return Buffer.concat(written);
}

function meaningOf(kind: number, flags: number, id: number, payload: Uint8Array): Meaning {
  const name = Object.keys(KINDS).find((word) => KINDS[word] === kind) ?? kind;
  return { kind: name, flags, id, ...fieldsOf(kind, flags, payload) };
}

function fieldsOf(kind: number, flags: number, payload: Uint8Array): object {
  switch (kind) {
    case FRAME.hello:
      return { hello: decodeHello(payload) };
    case FRAME.request: {
      if ((flags & KEYED) === 0) return { payload: hex(payload) };
      const key = readKey(payload);
      return key === 'no key' ? {} : { key: key.text, payload: hex(payload.subarray(key.length)) };
    }
    case FRAME.failure:
    case FRAME.error:
      return { ...readCodeAndText(payload) };
    case FRAME.credit:
      return { bytes: read32(payload) };
    case FRAME.goodbye: {
      const { reason = null, retryAfter } = decodeGoodbye(payload)!;
      return { reason, retryAfter };
    }
    case FRAME.received: {
      const key = readKey(payload);
      return { key: key === 'no key' ? key : key.text };
    }
    case FRAME.cancel:
    case FRAME.goodbyeAck:
      return {};
    default:
      return { payload: hex(payload) };
  }
}

function payloadOf(kind: number, meaning: Meaning): Uint8Array {
  switch (kind) {
    case FRAME.hello:
      return encodeHello(meaning.hello as Hello);
    case FRAME.failure:
    case FRAME.error:
      return codeAndText(meaning.code as number, meaning.text as string);
    case FRAME.credit:
      return number32(meaning.bytes as number);
    case FRAME.goodbye:
      return encodeGoodbye({ reason: meaning.reason as GoodbyeReason, retryAfter: meaning.retryAfter as number });
    case FRAME.received:
      return encodeKey(meaning.key as string);
    default:
      return Buffer.from((meaning.payload as string | undefined) ?? '', 'hex');
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
