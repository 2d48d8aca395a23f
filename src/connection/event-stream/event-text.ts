const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const COLON = 0x3a;

/**
 * How far the text of an event stream is: in an event, or between two (HTML Standard 9.2.6). An event ends with a blank line.
 * Comments are no part of an event. Until the first blank line nothing is known, for the text is read from its middle.
 */
export class EventText {
  #isAtLineStart = false;
  /** Whether the event has a line; as long as nothing is known it counts as having one. */
  #hasField = true;
  #isComment = false;
  /** A line feed behind it belongs to the same end of the line. */
  #isAfterReturn = false;

  get isBetweenEvents(): boolean {
    return this.#isAtLineStart && !this.#hasField;
  }

  read(bytes: Uint8Array): void {
    for (const byte of bytes) this.#readByte(byte);
  }

  /** Reads as far as the first place between two events. Returns how many bytes that are; undefined if there is no such place. */
  readToBoundary(bytes: Uint8Array): number | undefined {
    for (const [index, byte] of bytes.entries()) {
      if (this.isBetweenEvents) return index;
      this.#readByte(byte);
    }
    return this.isBetweenEvents ? bytes.length : undefined;
  }

  #readByte(byte: number): void {
    const isSecondHalf = byte === LINE_FEED && this.#isAfterReturn;
    this.#isAfterReturn = byte === CARRIAGE_RETURN;
    if (isSecondHalf) return;
    if (byte === LINE_FEED || byte === CARRIAGE_RETURN) {
      if (this.#isAtLineStart) this.#hasField = false;
      else if (!this.#isComment) this.#hasField = true;
      this.#isAtLineStart = true;
      return;
    }
    if (this.#isAtLineStart) this.#isComment = byte === COLON;
    this.#isAtLineStart = false;
  }
}
