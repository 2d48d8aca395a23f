import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { playClient } from './vectors/play-client.ts';
import { playServer } from './vectors/play-server.ts';
import { decodeFrames, encodeFrame } from './vectors/frame-codec.ts';
import { conversations, errorVectors, frameVectors } from './vectors/vector-files.ts';

const PLAYERS = { client: playServer, server: playClient } as const;

describe('The frames of docs/channel-vectors', () => {
  for (const { name, hex, frame, encodes } of frameVectors) {
    it(`are decoded no matter where they are cut, and encoded: ${name}`, () => {
      const bytes = Buffer.from(hex, 'hex');
      for (let length = 1; length <= bytes.length; length++) assert.deepEqual(decodeFrames(bytes, length), [frame]);
      if (encodes !== false) assert.equal(encodeFrame(frame).toString('hex'), hex);
    });
  }

  it('are decoded one after the other', () => {
    const bytes = Buffer.from(frameVectors.map(({ hex }) => hex).join(''), 'hex');
    const frames = frameVectors.map(({ frame }) => frame);
    for (const length of [1, 9, 10, 11, 100, bytes.length]) assert.deepEqual(decodeFrames(bytes, length), frames);
  });
});

for (const side of ['client', 'server'] as const) {
  describe(`A ${side} of a channel`, { timeout: 300_000 }, () => {
    for (const conversation of conversations.filter(({ tests }) => tests.includes(side))) {
      it(`sends its part byte for byte: ${conversation.name}`, (t) => PLAYERS[side](conversation, t));
    }

    for (const vector of errorVectors.filter(({ tests }) => tests.includes(side))) {
      const title = `ends the connection with ERROR, ${vector.error.word}, after ${vector.name}`;
      it(title, (t) => PLAYERS[side](vector, t));
    }
  });
}
