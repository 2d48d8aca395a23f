import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LastCallError } from '../../src/channel.ts';
import { ERROR_CODES, FRAME } from '../../src/channel/wire/frames.ts';
import { count } from '../harness/counts.ts';
import { Scope } from '../harness/scope.ts';
import { connect, echo, serve, type Served, text } from './open-channel.ts';
import { frame, hello, WireReader } from './wire.ts';

const RUNS = count(10_000, 500);

const LIMITS = { maxFrame: 1_024, maxUnread: 4_096, maxPayload: 2_000, frameWait: 5_000, helloWait: 5_000 };

/** A frame of any kind, most often a known one. */
const anyFrame = fc
  .record({
    kind: fc.oneof(fc.constantFrom(...Object.values(FRAME)), fc.nat(255)),
    id: fc.oneof(fc.nat(5), fc.nat(0xffff_ffff)),
    flags: fc.oneof(fc.constant(1), fc.nat(255)),
    payload: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 1_000, maxLength: 1_100 })),
  })
  .map(({ kind, id, flags, payload }) => frame(kind, id, payload, flags));

/** Valid requests, so that something is under way when the rest comes. */
const requests = fc
  .nat(4)
  .map((count) =>
    Buffer.concat(Array.from({ length: count }, (_, index) => frame('request', index + 1, Buffer.from('x')))),
  );

const noise = fc.oneof(
  { weight: 4, arbitrary: anyFrame },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: anyFrame.chain((whole) => fc.nat(whole.length).map((length) => whole.subarray(0, length))) },
);

const conversation = fc.record({
  greets: fc.boolean().chain((greets) => (greets ? fc.constant(true) : fc.boolean())),
  asked: requests,
  noise: fc.array(noise, { maxLength: 12 }),
  /** Where the bytes are cut into two writes. */
  cut: fc.nat(2_000),
});

describe('Fuzzed frames', { timeout: 600_000 }, () => {
  it('end only their own connection, with a named error where they break the protocol', async (t) => {
    await using scope = new Scope();
    const served = await serve(scope, echo, { ...LIMITS, maxRequests: 8 });
    const other = connect(scope, served);
    const seen = { ended: 0, errors: 0 };
    await fc.assert(
      fc.asyncProperty(conversation, async ({ greets, asked, noise, cut }) => {
        served.errors.length = 0;
        const bytes = Buffer.concat([...(greets ? [hello(), asked] : []), ...noise]);
        const last = await converse(served, bytes, cut);
        seen.ended += 1;
        if (last.error !== undefined) {
          seen.errors += 1;
          assert.ok(Object.values(ERROR_CODES).includes(last.error as never), `code ${last.error}`);
          assert.equal(served.errors.length, 1);
        }
        for (const error of served.errors) assert.ok(error instanceof LastCallError, String(error));
        assert.equal(text(await other.request(Buffer.from('still there'))), 'still there');
      }),
      { numRuns: RUNS },
    );
    assert.ok(seen.errors > RUNS / 2, JSON.stringify(seen));
    t.diagnostic(`${seen.ended} conversations, ${seen.errors} ended by an error of ours`);
  });

  it('from a server end its connection, and the client goes on at the next address', async () => {
    await using scope = new Scope();
    const served = await serve(scope);
    let bytes = Buffer.alloc(0);
    const strange = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.resume();
      socket.end(bytes);
    });
    strange.listen({ host: '127.0.0.1', port: 0 });
    await once(strange, 'listening');
    scope.defer(() => strange.close());
    const { port } = strange.address() as net.AddressInfo;
    await fc.assert(
      fc.asyncProperty(conversation, async ({ greets, noise }) => {
        bytes = Buffer.concat([...(greets ? [hello({ maxRequests: 9 })] : []), ...noise]);
        const channel = connect(scope, { target: [{ host: '127.0.0.1', port }, served.target] as never }, LIMITS);
        const reply = await channel.request(Buffer.from('x'), { idempotent: true }).catch((error: unknown) => error);
        // Noise can be a valid reply or failure.
        assert.ok(reply instanceof Uint8Array || reply instanceof LastCallError, String(reply));
        await channel.close({ deadline: 2_000 });
      }),
      { numRuns: RUNS / 5 },
    );
  });
});

/** Sends all frames, and then nothing. Resolves when the server has ended the connection, with the code of its ERROR. */
async function converse(
  { target }: Served,
  bytes: Buffer,
  cut: number,
): Promise<{ readonly error: number | undefined }> {
  const socket = net.connect(target);
  socket.on('error', () => {});
  const reader = new WireReader(socket);
  const closed = once(socket, 'close');
  socket.write(bytes.subarray(0, cut));
  await new Promise((resolve) => setImmediate(resolve));
  socket.end(bytes.subarray(cut));
  await closed;
  const error = reader.frames.find(({ kind }) => kind === FRAME.error);
  return { error: error?.payload.readUInt16BE() };
}
