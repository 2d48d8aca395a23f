import {
  allowsReuse,
  checkStatusLineStart,
  type Field,
  framingOf,
  MalformedResponse,
  MAX_BODY_BYTES,
  parseField,
  parseStatusLine,
  type StatusLine,
} from './response-head.ts';

/** `empty`: no byte has come; `partial`: some have; `whole`: the response has ended. */
export type ReaderState = 'empty' | 'partial' | 'whole' | 'malformed';

type Part = 'status line' | 'fields' | 'body' | 'body until close' | 'chunk size' | 'chunk' | 'chunk end' | 'trailers';

/** The limit of status lines, fields and trailers together, including those of 1xx responses. */
const MAX_HEAD_BYTES = 64 * 1024;
/** The limit of one chunk-size line: the size and its extensions. */
const MAX_CHUNK_LINE_BYTES = 1024;
const LF = 0x0a;

/**
 * Reads one HTTP/1.1 response to a request other than HEAD or CONNECT, in pieces of any size. Counts the bytes of the body and
 * does not keep them.
 */
export class ResponseReader {
  #state: ReaderState = 'empty';
  #part: Part = 'status line';
  #line = '';
  #headBytes = 0;
  #bodyBytes = 0;
  #remaining = 0;
  #statusLine: StatusLine = { version: '1.1', status: 0 };
  #fields: Field[] = [];
  #reusable = false;
  #surplus = 0;
  #problem = '';

  get state(): ReaderState {
    return this.#state;
  }

  /** The final status; 0 before it is known. */
  get status(): number {
    return this.#statusLine.status;
  }

  /** Bytes of the body, without the framing of chunks. */
  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  /** Whether the connection may carry another request, if none is outstanding. */
  get reusable(): boolean {
    return this.#state === 'whole' && this.#reusable && this.#surplus === 0;
  }

  /** Whether this is the last response on the connection. */
  get endsConnection(): boolean {
    return this.#state === 'whole' && !this.#reusable;
  }

  /** Bytes after the end of the response: the next response if requests are pipelined, otherwise an error of the server. */
  get surplus(): number {
    return this.#surplus;
  }

  /** What is wrong with a malformed response; empty otherwise. */
  get problem(): string {
    return this.#problem;
  }

  push(chunk: Buffer): ReaderState {
    if (this.#state === 'empty' && chunk.length > 0) this.#state = 'partial';
    try {
      let at = 0;
      while (this.#state === 'partial' && at < chunk.length) at = this.#consume(chunk, at);
      if (this.#state === 'whole') this.#surplus += chunk.length - at;
    } catch (error) {
      if (!(error instanceof MalformedResponse)) throw error;
      this.#state = 'malformed';
      this.#problem = error.message;
    }
    return this.#state;
  }

  /** The peer has sent EOF, which completes only a body without a length. */
  end(): ReaderState {
    if (this.#state === 'partial' && this.#part === 'body until close') this.#state = 'whole';
    return this.#state;
  }

  /** Reads from `at` on; returns where the next part begins. */
  #consume(chunk: Buffer, at: number): number {
    if (this.#part === 'body' || this.#part === 'chunk') return this.#consumeCounted(chunk, at);
    if (this.#part === 'body until close') {
      this.#countBody(chunk.length - at);
      return chunk.length;
    }
    return this.#consumeLine(chunk, at);
  }

  #consumeCounted(chunk: Buffer, at: number): number {
    const taken = Math.min(this.#remaining, chunk.length - at);
    this.#remaining -= taken;
    this.#countBody(taken);
    if (this.#remaining === 0) {
      if (this.#part === 'chunk') this.#part = 'chunk end';
      else this.#state = 'whole';
    }
    return at + taken;
  }

  #consumeLine(chunk: Buffer, at: number): number {
    const newline = chunk.indexOf(LF, at);
    this.#line += chunk.toString('latin1', at, newline === -1 ? chunk.length : newline);
    if (this.#part === 'status line') checkStatusLineStart(this.#line);
    this.#checkLineLength();
    if (newline === -1) return chunk.length;

    if (!this.#line.endsWith('\r')) throw new MalformedResponse('a line that does not end in CRLF');
    const line = this.#line.slice(0, -1);
    this.#line = '';
    this.#take(line);
    return newline + 1;
  }

  #checkLineLength(): void {
    if (this.#part === 'chunk size' || this.#part === 'chunk end') {
      if (this.#line.length > MAX_CHUNK_LINE_BYTES) throw new MalformedResponse('a chunk-size line that is too long');
    } else if (this.#headBytes + this.#line.length > MAX_HEAD_BYTES) {
      throw new MalformedResponse('a head that is too long');
    }
  }

  #take(line: string): void {
    if (this.#part === 'chunk size') this.#startChunk(line);
    else if (this.#part === 'chunk end') this.#endChunk(line);
    else {
      this.#headBytes += line.length + 2;
      if (this.#part === 'status line') this.#startHead(line);
      else if (this.#part === 'trailers') this.#takeTrailer(line);
      else if (line === '') this.#endHead();
      else this.#fields.push(parseField(line));
    }
  }

  #startHead(line: string): void {
    this.#statusLine = parseStatusLine(line);
    // The storm never requests the Upgrade that a 101 answers.
    if (this.#statusLine.status === 101) throw new MalformedResponse('101 without an Upgrade');
    this.#fields = [];
    this.#part = 'fields';
  }

  #endHead(): void {
    if (this.#statusLine.status < 200) {
      this.#part = 'status line';
      return;
    }
    const framing = framingOf(this.#statusLine, this.#fields);
    this.#reusable = allowsReuse(this.#statusLine, this.#fields, framing);
    if (framing.kind === 'none') this.#state = 'whole';
    else if (framing.kind === 'chunked') this.#part = 'chunk size';
    else if (framing.kind === 'until close') this.#part = 'body until close';
    else {
      this.#part = 'body';
      this.#remaining = framing.length;
    }
  }

  #startChunk(line: string): void {
    const [, size] = /^([\dA-Fa-f]{1,8})[\t ]*(?:;.*)?$/.exec(line) ?? [];
    if (size === undefined) throw new MalformedResponse('not a chunk size');
    this.#remaining = Number.parseInt(size, 16);
    this.#part = this.#remaining === 0 ? 'trailers' : 'chunk';
  }

  #endChunk(line: string): void {
    if (line !== '') throw new MalformedResponse('a chunk longer than its size');
    this.#part = 'chunk size';
  }

  #takeTrailer(line: string): void {
    if (line === '') this.#state = 'whole';
    else parseField(line);
  }

  #countBody(bytes: number): void {
    this.#bodyBytes += bytes;
    if (this.#bodyBytes > MAX_BODY_BYTES) throw new MalformedResponse('a body that is too long');
  }
}
