import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { ResponseReader } from '../../src/storm/response-reader.ts';

function readAll(chunks: readonly Buffer[]): ResponseReader {
  const reader = new ResponseReader();
  for (const chunk of chunks) reader.push(chunk);
  return reader;
}

function read(text: string): ResponseReader {
  return readAll([Buffer.from(text, 'latin1')]);
}

function wholeBody(text: string): number {
  const reader = read(text);
  assert.equal(reader.state, 'whole', reader.problem);
  return reader.bodyBytes;
}

const FIXED = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
const CHUNKED =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n';
const CONTINUED = `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${FIXED}`;

const PROBLEMS: readonly (readonly [string, string])[] = [
  ['not an HTTP/1.x status line', 'SSH-2.0-OpenSSH\r\n'],
  ['not an HTTP/1.x status line', 'HTTP/1.2 200 OK\r\n'],
  ['not an HTTP/1.x status line', 'HTTP/1.1 200\tOK\r\n'],
  ['not an HTTP/1.x status line', 'HTTP/1.1 999 OK\r\n'],
  ['101 without an Upgrade', 'HTTP/1.1 101 Switching Protocols\r\n'],
  ['a line that does not end in CRLF', 'HTTP/1.1 200 OK\n'],
  ['not a header field', 'HTTP/1.1 200 OK\r\nno colon\r\n'],
  ['not a header field', 'HTTP/1.1 200 OK\r\nA : 1\r\n'],
  ['not a header field', 'HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n'],
  ['not a header field', 'HTTP/1.1 200 OK\r\nA: \0\r\n'],
  ['a head that is too long', `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(70_000)}`],
  ['a head that is too long', `HTTP/1.1 100 Continue\r\n\r\n`.repeat(3_000)],
  ['more than one Content-Length', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n'],
  ['a Content-Length that is not a number', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'],
  ['a Content-Length that is not a number', 'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n'],
  ['a body that is too long', 'HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n'],
  [
    'both Transfer-Encoding and Content-Length',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n',
  ],
  ['Transfer-Encoding in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['a Transfer-Encoding other than chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
  ['not a chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'],
  ['not a chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n'],
  ['a chunk-size line that is too long', `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(2_000)}`],
  ['a chunk longer than its size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhello\r\n'],
];

describe('the response reader', () => {
  it('reads a body of a given length', () => assert.equal(wholeBody(FIXED), 5));
  it('reads a chunked body with extensions and trailers', () => assert.equal(wholeBody(CHUNKED), 6));
  it('skips 1xx responses', () => assert.equal(wholeBody(CONTINUED), 5));
  it('knows that 204 and 304 have no body', () => {
    assert.equal(wholeBody('HTTP/1.1 204 No Content\r\n\r\n'), 0);
    assert.equal(wholeBody('HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n'), 0);
  });
  it('takes a status line without a reason', () =>
    assert.equal(wholeBody('HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n'), 0));

  it('takes a body without a length as whole at EOF, and no other', () => {
    const closeDelimited = read('HTTP/1.1 200 OK\r\n\r\nhello');
    assert.equal(closeDelimited.state, 'partial');
    assert.equal(closeDelimited.end(), 'whole');
    assert.equal(closeDelimited.reusable, false);
    assert.equal(read(FIXED.slice(0, -1)).end(), 'partial');
    assert.equal(read(CHUNKED.slice(0, -1)).end(), 'partial');
    assert.equal(read('HTTP/1.1 100 Continue\r\n\r\n').end(), 'partial');
    assert.equal(read('').end(), 'empty');
  });

  it('returns whether the connection may be used again', () => {
    assert.equal(read(FIXED).reusable, true);
    assert.equal(read(FIXED.replace('OK\r\n', 'OK\r\nConnection: foo, Close\r\n')).reusable, false);
    assert.equal(read(FIXED.replace('1.1', '1.0')).reusable, false);
    assert.equal(read(`${FIXED}more`).reusable, false);
    assert.equal(read(`${FIXED}more`).surplus, 4);
  });

  it('returns whether another response may follow on the connection', () => {
    assert.equal(read(FIXED).endsConnection, false);
    assert.equal(read(`${FIXED}HTTP/1.1`).endsConnection, false);
    assert.equal(read(FIXED.replace('OK\r\n', 'OK\r\nConnection: close\r\n')).endsConnection, true);
    assert.equal(read(FIXED.slice(0, -1).replace('OK\r\n', 'OK\r\nConnection: close\r\n')).endsConnection, false);
  });

  for (const [problem, text] of PROBLEMS) {
    it(`names ${problem}: ${JSON.stringify(text.slice(-40))}`, () => {
      const reader = read(text);
      assert.equal(reader.state, 'malformed');
      assert.equal(reader.problem, problem);
    });
  }

  it('gives the same result for any split of the bytes', () => {
    const texts = [FIXED, CHUNKED, CONTINUED, `${FIXED}${FIXED}`, 'HTTP/1.1 200 OK\r\n\r\nhello'];
    const sample = fc.oneof(
      fc.constantFrom(...texts, ...PROBLEMS.map(([, text]) => text)).map((text) => Buffer.from(text, 'latin1')),
      fc.tuple(fc.constantFrom(...texts), fc.nat(), fc.nat(255)).map(([text, at, byte]) => {
        const damaged = Buffer.from(text, 'latin1');
        damaged[at % damaged.length] = byte;
        return damaged;
      }),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(sample, fc.array(fc.nat(), { maxLength: 12 }), (bytes, cuts) => {
        const offsets = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
        const chunks = offsets.map((offset, index) => bytes.subarray(offsets[index - 1] ?? 0, offset));
        assert.deepEqual(describeResult(readAll(chunks)), describeResult(readAll([bytes])));
      }),
      { numRuns: 2_000 },
    );
  });

  it('gives the same result byte by byte', () => {
    for (const text of [FIXED, CHUNKED, CONTINUED, ...PROBLEMS.map(([, problem]) => problem)]) {
      const bytes = Buffer.from(text, 'latin1');
      const single = Array.from(bytes, (_, index) => bytes.subarray(index, index + 1));
      assert.deepEqual(describeResult(readAll(single)), describeResult(readAll([bytes])));
    }
  });
});

function describeResult(reader: ResponseReader): object {
  const before = reader.state;
  const after = reader.end();
  const { status, bodyBytes, reusable, surplus, problem } = reader;
  return { before, after, status, bodyBytes, reusable, surplus, problem };
}
