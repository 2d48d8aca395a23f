import type { Packet } from './rules.ts';

// The MTU of both hosts is 1500; a little more costs nothing.
const PACKET_SIZE = 1536;

/** A packet that travels: it arrives at `due`, in ms of performance.now(). */
export interface TravellingPacket extends Packet {
  due: number;
}

/** Packets to be used again and again: the wire allocates only while its load grows. */
export class PacketPool {
  readonly #free: TravellingPacket[] = [];

  take(): TravellingPacket {
    return this.#free.pop() ?? { bytes: Buffer.allocUnsafeSlow(PACKET_SIZE), length: 0, due: 0 };
  }

  giveBack(packet: TravellingPacket): void {
    this.#free.push(packet);
  }
}

/** First in, first out, in a ring that doubles when it is full. */
export class PacketQueue {
  #ring = new Array<TravellingPacket | undefined>(1024);
  #first = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get first(): TravellingPacket | undefined {
    return this.#length === 0 ? undefined : this.#ring[this.#first];
  }

  push(packet: TravellingPacket): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#first + this.#length) % this.#ring.length] = packet;
    this.#length += 1;
  }

  /** Drops the first packet from the queue. */
  shift(): void {
    this.#ring[this.#first] = undefined;
    this.#first = (this.#first + 1) % this.#ring.length;
    this.#length -= 1;
  }

  #grow(): void {
    const inOrder = [...this.#ring.slice(this.#first), ...this.#ring.slice(0, this.#first)];
    this.#ring = [...inOrder, ...new Array<undefined>(inOrder.length)];
    this.#first = 0;
  }
}
