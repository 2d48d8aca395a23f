import type { PacketIo } from './linux/tun.ts';
import { Loss } from './loss.ts';
import { parseSegment } from './packet.ts';
import { type PacketPool, PacketQueue, type TravellingPacket } from './packet-queue.ts';
import type { Direction, LineStats } from './rule.ts';
import type { Rules } from './rules.ts';

// Enough to make a wait worth its system call, few enough that the other line's packets are not late meanwhile.
const AT_ONCE = 64;

/** One direction of the wire: from one host's TUN through a delay to the other's. Rules and loss are asked at its end. */
export class Line {
  readonly #direction: Direction;
  readonly #from: number;
  readonly #to: number;
  readonly #io: PacketIo;
  readonly #pool: PacketPool;
  readonly #rules: Rules<TravellingPacket>;
  readonly #underway = new PacketQueue();
  #loss = new Loss(0, 0);
  #carried = 0;
  #dropped = 0;

  /** Milliseconds from here to there, for packets that set out from now on. */
  delay = 0;

  constructor(
    direction: Direction,
    from: number,
    to: number,
    shared: { readonly io: PacketIo; readonly pool: PacketPool; readonly rules: Rules<TravellingPacket> },
  ) {
    this.#direction = direction;
    this.#from = from;
    this.#to = to;
    this.#io = shared.io;
    this.#pool = shared.pool;
    this.#rules = shared.rules;
  }

  set loss(loss: Loss) {
    this.#loss = loss;
  }

  /** When the next packet arrives; Infinity when none travels. */
  get nextDue(): number {
    return this.#underway.first?.due ?? Infinity;
  }

  get stats(): LineStats {
    return {
      carried: this.#carried,
      dropped: this.#dropped,
      held: this.#rules.countHeld(this.#direction),
      underway: this.#underway.length,
    };
  }

  /** Takes in what the host has sent. */
  accept(now: number): void {
    for (let taken = 0; taken < AT_ONCE; taken++) {
      const packet = this.#pool.take();
      packet.length = this.#io.receive(this.#from, packet.bytes);
      if (packet.length === 0) {
        this.#pool.giveBack(packet);
        return;
      }
      packet.due = now + this.delay;
      this.#underway.push(packet);
    }
  }

  /** Brings what is due to its end. */
  deliver(now: number): void {
    for (let packet = this.#underway.first; packet !== undefined && packet.due <= now; packet = this.#underway.first) {
      this.#underway.shift();
      const verdict = this.#rules.judge(this.#direction, packet);
      if (verdict === 'hold') continue;
      if (verdict === 'drop' || (verdict === 'as usual' && this.#isLost(packet))) this.drop(packet);
      else this.handOver(packet);
    }
  }

  /** Gives a packet to the host at the end. */
  handOver(packet: TravellingPacket): void {
    this.#io.send(this.#to, packet.bytes, packet.length);
    this.#carried += 1;
    this.#pool.giveBack(packet);
  }

  drop(packet: TravellingPacket): void {
    this.#dropped += 1;
    this.#pool.giveBack(packet);
  }

  // Only TCP is lost: what a kernel sends by itself, at times of its own, must not shift the fates of what a test sends.
  #isLost(packet: TravellingPacket): boolean {
    if (!this.#loss.isPossible) return false;
    return parseSegment(packet.bytes, packet.length) !== undefined && this.#loss.takesNext();
  }
}
