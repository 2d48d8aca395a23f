import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  SOCK_DIAG_BY_FAMILY,
} from '../../src/linux/constants.ts';
import {
  askSockDiag,
  decodeDatagram,
  encodeMessage,
  findAttribute,
  NetlinkError,
} from '../../src/linux/tables/netlink.ts';
import { CAPTURED_SEQUENCE, DUMP_END, HALF_OPEN_IPV4, NO_SUCH_SOCKET } from './captured-dump.ts';

const ROW = encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, 7, Buffer.from('row!'));
const END = encodeMessage(NLMSG_DONE, NLM_F_MULTI, 7, int(0));

test('a header has its five fields and then the payload', () => {
  const message = encodeMessage(0x1234, 0x0301, 0xfedcba98, Buffer.from('abcde'));
  assert.equal(message.length, 21);
  assert.equal(message.readUInt32LE(0), 21);
  assert.equal(message.readUInt16LE(4), 0x1234);
  assert.equal(message.readUInt16LE(6), 0x0301);
  assert.equal(message.readUInt32LE(8), 0xfedcba98);
  assert.equal(message.readUInt32LE(12), 0);
  assert.equal(message.subarray(16).toString(), 'abcde');
});

test('a captured dump has one row, and ends with its end message', () => {
  const rows: Buffer[] = [];
  const decodeHex = (hex: string) =>
    decodeDatagram(Buffer.from(hex, 'hex'), SOCK_DIAG_BY_FAMILY, CAPTURED_SEQUENCE, (row) => rows.push(row));
  assert.equal(decodeHex(HALF_OPEN_IPV4), false);
  assert.equal(decodeHex(DUMP_END), true);
  assert.deepEqual(
    rows.map((row) => row.toString('hex')),
    [HALF_OPEN_IPV4.slice(32)],
  );
});

test('rows and the end may share a datagram, padded to four bytes', () => {
  const odd = encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, 7, Buffer.from('odd'));
  assert.deepEqual(decode(Buffer.concat([ROW, odd, Buffer.alloc(1), ROW, END])), {
    rows: ['row!', 'odd', 'row!'],
    complete: true,
  });
});

test('the padding of the last message may be missing', () => {
  const odd = encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, 7, Buffer.from('odd'));
  assert.deepEqual(decode(odd), { rows: ['odd'], complete: false });
});

test('an answer without NLM_F_MULTI is complete with its one message', () => {
  const single = encodeMessage(SOCK_DIAG_BY_FAMILY, 0, 7, Buffer.from('row!'));
  assert.deepEqual(decode(single), { rows: ['row!'], complete: true });
});

test('NLMSG_NOOP is skipped', () => {
  const noop = encodeMessage(NLMSG_NOOP, NLM_F_MULTI, 7, Buffer.alloc(0));
  assert.deepEqual(decode(Buffer.concat([noop, ROW])), { rows: ['row!'], complete: false });
});

test('an error of zero is an acknowledgement, and an end may come without a number', () => {
  assert.equal(decode(encodeMessage(NLMSG_ERROR, 0, 7, int(0))).complete, true);
  assert.equal(decode(encodeMessage(NLMSG_DONE, NLM_F_MULTI, 7, Buffer.alloc(0))).complete, true);
});

const withLength = (length: number): Buffer => {
  const bytes = Buffer.from(ROW);
  bytes.writeUInt32LE(length, 0);
  return bytes;
};
const message = (type: number, flags: number, payload: Buffer): Buffer => encodeMessage(type, flags, 7, payload);

const FAULTS: readonly (readonly [what: string, bytes: Buffer, fault: string, text: RegExp])[] = [
  ['nothing at all', Buffer.alloc(0), 'truncated', /0 bytes are no header/],
  ['a header cut short', ROW.subarray(0, 15), 'truncated', /15 bytes are no header/],
  ['a message longer than its datagram', withLength(21), 'truncated', /a message of 21 bytes in 20/],
  ['a message of the greatest length', withLength(0xffffffff), 'truncated', /4294967295 bytes in 20/],
  ['a message shorter than its header', withLength(15), 'truncated', /a message of 15 bytes in 20/],
  ['a message of no length', withLength(0), 'truncated', /a message of 0 bytes in 20/],
  ['bytes left over', Buffer.concat([ROW, Buffer.alloc(5)]), 'truncated', /5 bytes are left over/],
  ['the answer to another question', encodeMessage(NLMSG_DONE, 0, 8, int(0)), 'wrong sequence', /8, expected 7/],
  ['an error', message(NLMSG_ERROR, 0, int(-2)), 'error', /ENOENT/],
  ['an error without its number', message(NLMSG_ERROR, 0, Buffer.alloc(3)), 'truncated', /without its number/],
  ['an error that has no name', message(NLMSG_ERROR, 0, int(5)), 'error', /errno -5/],
  ['an end with an error', message(NLMSG_DONE, NLM_F_MULTI, int(-1)), 'error', /EPERM/],
  ['an overrun', message(NLMSG_OVERRUN, 0, Buffer.alloc(0)), 'overrun', /dropped/],
  ['an interrupted row', message(SOCK_DIAG_BY_FAMILY, NLM_F_MULTI | NLM_F_DUMP_INTR, int(0)), 'interrupted', /changed/],
  ['an interrupted end', message(NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, int(0)), 'interrupted', /changed/],
  ['a message of another type', message(99, NLM_F_MULTI, Buffer.alloc(0)), 'error', /type 99/],
];

for (const [what, bytes, fault, text] of FAULTS) {
  test(`${what} is the fault '${fault}'`, () => {
    assert.throws(
      () => decode(bytes),
      (error) => {
        assert(error instanceof NetlinkError);
        assert.equal(error.fault, fault);
        assert.match(error.message, text);
        return true;
      },
    );
  });
}

test('an error keeps its errno', () => {
  assert.throws(() => decode(message(NLMSG_ERROR, 0, int(-13))), { fault: 'error', errno: 13 });
  assert.throws(
    () => decodeDatagram(Buffer.from(NO_SUCH_SOCKET, 'hex'), SOCK_DIAG_BY_FAMILY, CAPTURED_SEQUENCE, () => {}),
    { fault: 'error', errno: 2 },
  );
});

test('an attribute is found by its type, past others and their padding', () => {
  const attributes = Buffer.concat([attribute(1, 'a'), attribute(2, 'bcdef'), attribute(3, 'g'), attribute(4, '')]);
  assert.equal(findAttribute(attributes, 2)?.toString(), 'bcdef');
  assert.equal(findAttribute(attributes, 3)?.toString(), 'g');
  assert.equal(findAttribute(attributes, 4)?.length, 0);
  assert.equal(findAttribute(attributes, 5), undefined);
  assert.equal(findAttribute(Buffer.alloc(0), 1), undefined);
});

test('an attribute that overruns its message, or is shorter than its header, is truncated', () => {
  for (const length of [0, 3, 9, 0xffff]) {
    const bytes = attribute(1, 'abcd');
    bytes.writeUInt16LE(length, 0);
    assert.throws(() => findAttribute(bytes, 1), { name: 'NetlinkError', fault: 'truncated' });
  }
});

test('arbitrary bytes give an answer or a NetlinkError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      onlyNetlinkErrors(() => decodeDatagram(Buffer.from(bytes), SOCK_DIAG_BY_FAMILY, 7, () => {}));
      onlyNetlinkErrors(() => findAttribute(Buffer.from(bytes), 4));
    }),
  );
});

test('messages with arbitrary headers give an answer or a NetlinkError, and no byte of another message', () => {
  const header = fc.record({
    length: fc.oneof(fc.nat(80), fc.nat()),
    type: fc.constantFrom(1, 2, 3, 4, SOCK_DIAG_BY_FAMILY, 99),
    flags: fc.constantFrom(0, NLM_F_MULTI, NLM_F_MULTI | NLM_F_DUMP_INTR),
    sequence: fc.constantFrom(7, 7, 7, 8),
    payload: fc.uint8Array({ maxLength: 64 }),
  });
  fc.assert(
    fc.property(fc.array(header, { maxLength: 5 }), fc.boolean(), (headers, honest) => {
      const datagram = Buffer.concat(
        headers.map(({ length, type, flags, sequence, payload }) => {
          const bytes = encodeMessage(type, flags, sequence, Buffer.from(payload));
          if (!honest) bytes.writeUInt32LE(length, 0);
          return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
        }),
      );
      const sent = headers.map(({ payload }) => Buffer.from(payload).toString('hex'));
      onlyNetlinkErrors(() =>
        decodeDatagram(datagram, SOCK_DIAG_BY_FAMILY, 7, (payload) => {
          if (honest) assert(sent.includes(payload.toString('hex')));
        }),
      );
    }),
  );
});

test('the kernel refuses a request that it does not understand', () => {
  const request = encodeMessage(SOCK_DIAG_BY_FAMILY, 1, 7, Buffer.from([255, 0, 0, 0]));
  assert.throws(() => askSockDiag(request, SOCK_DIAG_BY_FAMILY, 7, () => {}), { name: 'NetlinkError', fault: 'error' });
});

test('an answer that does not come is an error, not a wait', () => {
  // Neither NLM_F_REQUEST nor NLM_F_ACK: the kernel passes the message over in silence.
  const request = encodeMessage(SOCK_DIAG_BY_FAMILY, 0, 7, Buffer.alloc(56));
  assert.throws(() => askSockDiag(request, SOCK_DIAG_BY_FAMILY, 7, () => {}), { syscall: 'recv', code: 'EAGAIN' });
});

function decode(bytes: Buffer): { readonly rows: readonly string[]; readonly complete: boolean } {
  const rows: string[] = [];
  const complete = decodeDatagram(bytes, SOCK_DIAG_BY_FAMILY, 7, (row) => rows.push(row.toString()));
  return { rows, complete };
}

function onlyNetlinkErrors(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
  }
}

function attribute(type: number, text: string): Buffer {
  const bytes = Buffer.alloc(4 + text.length + (-text.length & 3));
  bytes.writeUInt16LE(4 + text.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.write(text, 4);
  return bytes;
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
