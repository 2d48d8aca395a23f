import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FRAME } from '../../src/channel/wire/frames.ts';
import { Scope } from '../harness/scope.ts';
import { connect, connectRaw, deferred, rejectsWith, serve, text, until } from './open-channel.ts';
import { frame, hello, WireReader } from './wire.ts';

/** How many long payloads use up the credit of a connection. */
const LONG = 16;

async function* endless(): AsyncGenerator<Uint8Array, void> {
  for (;;) yield await Promise.resolve(Buffer.alloc(65_536));
}

/** One signal for each, because Node warns of a leak at more than ten listeners. */
function controllers(): readonly AbortController[] {
  return Array.from({ length: LONG }, () => new AbortController());
}

describe('Beside endless payloads, each of which uses all credit', {
  timeout: 300_000,
}, () => {
  it('requests are sent and answered', async () => {
    await using scope = new Scope();
    let begun = 0;
    let bytes = 0;
    const served = await serve(scope, async (request) => {
      let length = 0;
      for await (const chunk of request) {
        if (length === 0 && chunk.length > 100) begun += 1;
        length += chunk.length;
        bytes += chunk.length;
      }
      return Buffer.from(`${length}`);
    });
    const channel = connect(scope, served);
    const leaving = controllers();
    const long = leaving.map(({ signal }) => channel.request(endless, { signal }));
    const ended = long.map((asked) => rejectsWith(asked, 'ERR_OUTCOME_UNKNOWN'));
    await until(() => begun === LONG);
    for (let round = 0; round < 20; round++) {
      const before = bytes;
      assert.equal(text(await channel.request(Buffer.from('small'))), '5');
      await until(() => bytes > before);
    }
    for (const controller of leaving) controller.abort();
    await Promise.all(ended);
  });

  it('messages are sent and received', async () => {
    await using scope = new Scope();
    let received = 0;
    const isComplete = deferred<void>();
    const served = await serve(scope, endless);
    const channel = connect(scope, served, {
      onMessage: ({ length }) => {
        received += 1;
        assert.equal(length, 60_000);
        if (received === 20) isComplete.resolve();
      },
    });
    const leaving = controllers();
    const read = new Set<number>();
    const long = leaving.map(async ({ signal }, index) => {
      for await (const chunk of await channel.requestChunks(Buffer.alloc(0), { signal })) {
        if (chunk.length > 0) read.add(index);
      }
    });
    const ended = long.map((reading) => rejectsWith(reading, 'ERR_OUTCOME_UNKNOWN'));
    await until(() => read.size === LONG);
    const [peer] = served.channel.peers;
    for (let message = 0; message < 20; message++) await peer?.send(Buffer.alloc(60_000));
    await isComplete.promise;
    for (const controller of leaving) controller.abort();
    await Promise.all(ended);
  });

  it('messages reach a client that grants only what it has read', async () => {
    await using scope = new Scope();
    const served = await serve(scope, endless);
    const socket = await connectRaw(scope, served);
    const reader = new WireReader(socket);
    socket.write(hello({ maxFrame: 1_024, credit: 2_048, requestCredit: 1_024 }));
    for (const id of [1, 2]) socket.write(frame('request', id));
    // Grants half a frame of DATA for each half that came.
    let granted = 0;
    const grant = (): void => {
      const read =
        reader.frames.reduce((sum, { payload }) => sum + payload.length, 0) - (reader.frames[0]?.payload.length ?? 0);
      for (; granted + 256 <= read; granted += 256) {
        socket.write(frame('credit', 0, Buffer.from([0, 0, 1, 0]), 0));
        for (const id of [1, 2]) socket.write(frame('credit', id, Buffer.from([0, 0, 1, 0]), 0));
      }
    };
    await until(() => reader.kinds.filter((kind) => kind === 'data').length > 1);
    socket.on('data', grant);
    grant();
    await until(() => reader.kinds.filter((kind) => kind === 'data').length > 50);
    const [peer] = served.channel.peers;
    for (let message = 0; message < 5; message++) await peer?.send(Buffer.alloc(1_024));
    assert.equal(reader.frames.filter(({ kind }) => kind === FRAME.message).length > 0, true);
  });
});
