import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildPacket } from './build-packet.ts';
import { parseSegment, SYN } from './packet.ts';

const port = fc.integer({ min: 0, max: 65_535 });
const parts = fc.record({
  version: fc.constantFrom<4 | 6>(4, 6),
  source: port,
  destination: port,
  sequence: fc.integer({ min: 0, max: 0xffff_ffff }),
  flags: fc.integer({ min: 0, max: 255 }),
  payload: fc.string({ maxLength: 200, unit: 'binary-ascii' }),
  options: fc.integer({ min: 0, max: 10 }).map((words) => words * 4),
});

test('a TCP packet of either version is read as it was built', () => {
  fc.assert(
    fc.property(parts, (built) => {
      const bytes = buildPacket(built);
      const { version, source, destination, sequence, flags, payload } = built;
      const payloadAt = bytes.length - payload.length;
      const expected = { version, source, destination, sequence, flags, payloadAt, payload: payload.length };
      assert.deepEqual(parseSegment(bytes, bytes.length), expected);
    }),
  );
});

test('bytes behind the packet are not taken for payload', () => {
  const packet = buildPacket({ source: 1, destination: 2, flags: SYN, payload: 'abc' });
  const padded = Buffer.concat([packet, Buffer.alloc(9)]);
  assert.equal(parseSegment(padded, padded.length)?.payload, 3);
});

test('a packet cut short anywhere is not taken for TCP', () => {
  fc.assert(
    fc.property(parts, fc.nat(), (built, cut) => {
      const bytes = buildPacket(built);
      assert.equal(parseSegment(bytes, cut % bytes.length), undefined);
    }),
  );
});

test('whatever the bytes are, what is read lies within them', () => {
  const likelyHeader = fc.constantFrom(0x45, 0x46, 0x4f, 0x40, 0x60);
  fc.assert(
    fc.property(
      likelyHeader,
      fc.uint8Array({ maxLength: 120 }),
      fc.integer({ min: 0, max: 200 }),
      (first, rest, length) => {
        const bytes = Buffer.from([first, ...rest]);
        for (const protocolAt of [6, 9]) if (protocolAt < bytes.length) bytes.writeUInt8(6, protocolAt);
        const segment = parseSegment(bytes, length);
        if (segment === undefined) return;
        assert.ok(segment.payload >= 0 && segment.payloadAt + segment.payload <= Math.min(length, bytes.length));
      },
    ),
    { numRuns: 5_000 },
  );
});

test('fragments and other protocols are not TCP packets', () => {
  const parse = (change: (bytes: Buffer) => void, version: 4 | 6 = 4): unknown => {
    const bytes = buildPacket({ version, source: 1, destination: 2, flags: SYN });
    change(bytes);
    return parseSegment(bytes, bytes.length);
  };
  assert.ok(parse(() => undefined));
  assert.ok(
    parse((bytes) => bytes.writeUInt16BE(0x4000, 6)),
    "don't fragment",
  );
  assert.equal(
    parse((bytes) => bytes.writeUInt16BE(0x2000, 6)),
    undefined,
    'more fragments',
  );
  assert.equal(
    parse((bytes) => bytes.writeUInt16BE(0x0001, 6)),
    undefined,
    'a later fragment',
  );
  assert.equal(
    parse((bytes) => bytes.writeUInt8(17, 9)),
    undefined,
    'UDP',
  );
  assert.equal(
    parse((bytes) => bytes.writeUInt8(58, 6), 6),
    undefined,
    'ICMPv6',
  );
  assert.equal(
    parse((bytes) => bytes.writeUInt8(0x55, 0)),
    undefined,
    'no such version',
  );
});
