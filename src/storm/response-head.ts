/** What ends the body of a response (RFC 9112 section 6.3). */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'until close' };

export interface StatusLine {
  readonly version: '1.0' | '1.1';
  readonly status: number;
}

export interface Field {
  /** In lower case. */
  readonly name: string;
  readonly value: string;
}

/** The server broke the protocol: a client must not trust this response. */
export class MalformedResponse extends Error {
  override readonly name = 'MalformedResponse';
}

/** A longer body, in bytes, counts as malformed. */
export const MAX_BODY_BYTES: number = 1024 ** 3;

const STATUS_LINE_START = 'HTTP/1.';
const STATUS_LINE = /^HTTP\/(1\.[01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const FIELD = /^([!#$%&'*+\-.^_`|~\dA-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/;

/** Detects garbage early: a line without an end would otherwise wait until the time-out. */
export function checkStatusLineStart(line: string): void {
  if (!STATUS_LINE_START.startsWith(line.slice(0, STATUS_LINE_START.length))) {
    throw new MalformedResponse('not an HTTP/1.x status line');
  }
}

export function parseStatusLine(line: string): StatusLine {
  const [, version, status] = STATUS_LINE.exec(line) ?? [];
  if (version === undefined || status === undefined) throw new MalformedResponse('not an HTTP/1.x status line');
  return { version: version === '1.0' ? '1.0' : '1.1', status: Number(status) };
}

export function parseField(line: string): Field {
  const [, name, value] = FIELD.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new MalformedResponse('not a header field');
  return { name: name.toLowerCase(), value: value.trimEnd() };
}

/**
 * Decides where the body ends. Stricter than RFC 9112 requires: a response with two possible ends, such as one with two
 * lengths, is malformed.
 */
export function framingOf({ version, status }: StatusLine, fields: readonly Field[]): BodyFraming {
  if (status === 204 || status === 304) return { kind: 'none' };

  const encodings = valuesOf(fields, 'transfer-encoding');
  const lengths = valuesOf(fields, 'content-length');
  if (encodings.length > 0) {
    if (lengths.length > 0) throw new MalformedResponse('both Transfer-Encoding and Content-Length');
    if (version === '1.0') throw new MalformedResponse('Transfer-Encoding in HTTP/1.0');
    if (encodings.join().toLowerCase() !== 'chunked') {
      throw new MalformedResponse('a Transfer-Encoding other than chunked');
    }
    return { kind: 'chunked' };
  }

  const [length, second] = lengths;
  if (length === undefined) return { kind: 'until close' };
  if (second !== undefined) throw new MalformedResponse('more than one Content-Length');
  if (!/^\d{1,15}$/.test(length)) throw new MalformedResponse('a Content-Length that is not a number');
  if (Number(length) > MAX_BODY_BYTES) throw new MalformedResponse('a body that is too long');
  return length === '0' ? { kind: 'none' } : { kind: 'length', length: Number(length) };
}

/** Whether the connection may carry another request after this response. */
export function allowsReuse({ version }: StatusLine, fields: readonly Field[], framing: BodyFraming): boolean {
  if (version === '1.0' || framing.kind === 'until close') return false;
  return !valuesOf(fields, 'connection').some((value) => /(?:^|,)[\t ]*close[\t ]*(?:,|$)/i.test(value));
}

function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter((field) => field.name === name).map((field) => field.value);
}
