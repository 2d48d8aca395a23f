/** No head is longer: two bytes, eight of length, four of mask (RFC 6455 5.2). */
const LONGEST_HEAD = 14;
/** No answer to an upgrade is longer; Node itself takes no longer head from a server. */
const LONGEST_ANSWER = 16 * 1024;

const CONTINUATION = 0x0;
const BINARY = 0x2;
const CLOSE = 0x8;
const PONG = 0xa;
const LONGEST_CONTROL = 125;

/**
 * How far a stream of WebSocket frames is, the head of the answer to the upgrade before them. Of each frame only its head is
 * read. `lost`: these are no such frames.
 */
export class FramePosition {
  #step: 'answer' | 'frames' | 'lost' = 'answer';
  #answer = '';
  readonly #head = Buffer.alloc(LONGEST_HEAD);
  #headLength = 0;
  #payloadLeft = 0;
  #isInMessage = false;
  #hasClosed = false;

  get isLost(): boolean {
    return this.#step === 'lost';
  }

  /** Whether the answer to the upgrade has gone by. */
  get hasBegun(): boolean {
    return this.#step !== 'answer';
  }

  /** Whether a Close frame has gone by: nothing may follow it (RFC 6455 5.5.1). */
  get hasClosed(): boolean {
    return this.#hasClosed;
  }

  get isBetweenFrames(): boolean {
    return this.#step === 'frames' && this.#headLength === 0 && this.#payloadLeft === 0;
  }

  /** A message may have several frames, and control frames may come between them (RFC 6455 5.4). */
  get isBetweenMessages(): boolean {
    return this.isBetweenFrames && !this.#isInMessage;
  }

  /** Reads on, to the end of the next message if that is asked for. Returns how many bytes it has read. */
  read(bytes: Uint8Array, toMessageEnd = false): number {
    let at = 0;
    while (at < bytes.length && this.#step !== 'lost') {
      if (this.#step === 'answer') at = this.#readAnswer(bytes, at);
      else if (this.#payloadLeft === 0) at = this.#readHead(bytes, at);
      if (this.#step === 'frames' && this.#headLength === 0) at = this.#skipPayload(bytes, at);
      if (toMessageEnd && this.isBetweenMessages) return at;
    }
    return bytes.length;
  }

  #readAnswer(bytes: Uint8Array, from: number): number {
    const before = this.#answer.length;
    this.#answer += Buffer.from(bytes.subarray(from)).toString('latin1');
    const end = this.#answer.indexOf('\r\n\r\n');
    if (end === -1) {
      if (this.#answer.length > LONGEST_ANSWER) this.#step = 'lost';
      return bytes.length;
    }
    this.#step = /^HTTP\/1\.1 101\b/.test(this.#answer) ? 'frames' : 'lost';
    this.#answer = '';
    return from + end + 4 - before;
  }

  #readHead(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length) {
      this.#head.writeUInt8(bytes[at] ?? 0, this.#headLength);
      this.#headLength += 1;
      at += 1;
      if (this.#headLength >= 2 && this.#headLength === headLengthOf(this.#head)) {
        this.#beginFrame();
        return at;
      }
    }
    return at;
  }

  #beginFrame(): void {
    const first = this.#head.readUInt8(0);
    const opcode = first & 0x0f;
    const isLast = (first & 0x80) !== 0;
    this.#headLength = 0;
    this.#payloadLeft = payloadLengthOf(this.#head);
    const isPossible =
      opcode <= BINARY
        ? (opcode === CONTINUATION) === this.#isInMessage
        : opcode >= CLOSE && opcode <= PONG && isLast && this.#payloadLeft <= LONGEST_CONTROL;
    if (!isPossible || !Number.isSafeInteger(this.#payloadLeft)) this.#step = 'lost';
    if (opcode <= BINARY) this.#isInMessage = !isLast;
    if (opcode === CLOSE) this.#hasClosed = true;
  }

  #skipPayload(bytes: Uint8Array, from: number): number {
    const length = Math.min(this.#payloadLeft, bytes.length - from);
    this.#payloadLeft -= length;
    return from + length;
  }
}

function headLengthOf(head: Buffer): number {
  const second = head.readUInt8(1);
  const length = second & 0x7f;
  const more = length === 126 ? 2 : length === 127 ? 8 : 0;
  return 2 + more + ((second & 0x80) === 0 ? 0 : 4);
}

function payloadLengthOf(head: Buffer): number {
  const length = head.readUInt8(1) & 0x7f;
  if (length === 126) return head.readUInt16BE(2);
  return length === 127 ? head.readUInt32BE(2) * 2 ** 32 + head.readUInt32BE(6) : length;
}
