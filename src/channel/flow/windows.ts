// The largest credit: CREDIT carries a 32-bit number.
const LARGEST = 0xffff_ffff;

/** How many bytes of payload may still be sent: what the other side granted, minus what was sent. */
export class SendWindow {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  get left(): number {
    return this.#left;
  }

  take(bytes: number): void {
    this.#left -= bytes;
  }

  /** False where the credit becomes too large. */
  add(bytes: number): boolean {
    this.#left += bytes;
    return this.#left <= LARGEST;
  }
}

/** How many bytes of payload may still come, and how many to grant again. */
export class ReceiveWindow {
  readonly #size: number;
  #left: number;
  #owed = 0;

  constructor(bytes: number) {
    this.#size = bytes;
    this.#left = bytes;
  }

  /** False where more came than was granted. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** These bytes were read. Returns the bytes to grant now: nothing until half of the window is owed. */
  giveBack(bytes: number): number {
    this.#owed += bytes;
    if (this.#owed * 2 < this.#size) return 0;
    const granted = this.#owed;
    this.#left += granted;
    this.#owed = 0;
    return granted;
  }
}
