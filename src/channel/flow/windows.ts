// A credit can never be more than fits a frame's number.
const LARGEST = 0xffff_ffff;

/** How much may still be sent: what the other side has granted, less what has gone. In bytes of payload. */
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

  /** False where more is granted than can be. */
  add(bytes: number): boolean {
    this.#left += bytes;
    return this.#left <= LARGEST;
  }
}

/** How much may still come, and what is to be granted anew. In bytes of payload. */
export class ReceiveWindow {
  readonly #size: number;
  #left: number;
  #owed = 0;

  constructor(bytes: number) {
    this.#size = bytes;
    this.#left = bytes;
  }

  /** False where more has come than was granted. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** So much has been read; returns what to grant now, which is nothing until half of all is owed. */
  giveBack(bytes: number): number {
    this.#owed += bytes;
    if (this.#owed * 2 < this.#size) return 0;
    const granted = this.#owed;
    this.#left += granted;
    this.#owed = 0;
    return granted;
  }
}
