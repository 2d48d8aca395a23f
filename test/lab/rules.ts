import { Handshakes, isPureAck, isSynAck } from './handshakes.ts';
import { ACK, FIN, parseSegment, RST, type Segment, SYN } from './packet.ts';
import type { Direction, PacketKind, PacketSeen, Rule } from './rule.ts';

/** A packet on the wire: the first `length` bytes of its buffer. */
export interface Packet {
  readonly bytes: Buffer;
  length: number;
}

/** What becomes of a packet; `spared`: it goes on, whatever random loss says. */
export type Verdict = 'as usual' | 'spared' | 'drop' | 'hold';

interface ActiveRule<P> {
  readonly rule: Rule;
  readonly payload: Buffer | undefined;
  readonly held: P[];
  matched: number;
}

/**
 * The rules in force, asked in the order of their making: each counts and may report the packet, until one drops or
 * holds it. `onAct` hears of every packet that a rule acts on.
 */
export class Rules<P extends Packet> {
  readonly #rules = new Map<number, ActiveRule<P>>();
  readonly #onAct: (id: number, packet: PacketSeen) => void;
  #handshakes = new Handshakes();

  constructor(onAct: (id: number, packet: PacketSeen) => void) {
    this.#onAct = onAct;
  }

  /** Puts a rule in force. */
  add(id: number, rule: Rule): void {
    // Without rules nobody watches the handshakes, so what was known of them is out of date.
    if (this.#rules.size === 0) this.#handshakes = new Handshakes();
    const payload = rule.payload === undefined ? undefined : Buffer.from(rule.payload, 'latin1');
    this.#rules.set(id, { rule, payload, held: [], matched: 0 });
  }

  /** Ends a rule and returns what it held. */
  remove(id: number): { readonly direction: Direction; readonly packets: readonly P[] } {
    const taken = this.takeHeld(id);
    this.#rules.delete(id);
    return taken;
  }

  /** Takes the packets from a rule that it held so far, in order. The rule stays in force. */
  takeHeld(id: number): { readonly direction: Direction; readonly packets: readonly P[] } {
    const active = this.#rules.get(id);
    if (active === undefined) throw new Error(`Expected a rule in force, got \`${id}\``);
    return { direction: active.rule.direction, packets: active.held.splice(0) };
  }

  countHeld(direction: Direction): number {
    const ofDirection = [...this.#rules.values()].filter(({ rule }) => rule.direction === direction);
    return ofDirection.reduce((sum, { held }) => sum + held.length, 0);
  }

  judge(direction: Direction, packet: P): Verdict {
    if (this.#rules.size === 0) return 'as usual';
    const segment = parseSegment(packet.bytes, packet.length);
    if (segment === undefined) return 'as usual';
    const isFinalAck = this.#handshakes.observe(direction, segment);
    let verdict: Verdict = 'as usual';
    for (const [id, active] of this.#rules) {
      if (!matches(active, direction, packet, segment, isFinalAck) || !isDue(active)) continue;
      if (active.rule.action === 'hold') active.held.push(packet);
      this.#onAct(id, describe(direction, packet, segment, isFinalAck));
      if (active.rule.action !== 'report') return active.rule.action;
      verdict = 'spared';
    }
    return verdict;
  }
}

/** Counts a match; returns whether the rule acts on this one. */
function isDue<P>(active: ActiveRule<P>): boolean {
  const { from = 1, count = 1 } = active.rule;
  active.matched += 1;
  return active.matched >= from && active.matched < from + count;
}

function matches<P extends Packet>(
  { rule, payload }: ActiveRule<P>,
  direction: Direction,
  packet: P,
  segment: Segment,
  isFinalAck: boolean,
): boolean {
  if (rule.direction !== direction) return false;
  const { clientPort, serverPort } = ports(direction, segment);
  if (rule.clientPort !== undefined && rule.clientPort !== clientPort) return false;
  if (rule.serverPort !== undefined && rule.serverPort !== serverPort) return false;
  if (!isOfKind(rule.packet, segment, isFinalAck)) return false;
  return payload === undefined || payloadOf(packet, segment).includes(payload);
}

function isOfKind(kind: PacketKind, segment: Segment, isFinalAck: boolean): boolean {
  switch (kind) {
    case 'SYN':
      return (segment.flags & (SYN | ACK)) === SYN;
    case 'SYN-ACK':
      return isSynAck(segment);
    case 'final ACK':
      return isFinalAck;
    case 'ACK':
      return isPureAck(segment);
    case 'data':
      return segment.payload > 0;
    case 'FIN':
      return (segment.flags & FIN) !== 0;
    case 'RST':
      return (segment.flags & RST) !== 0;
    case 'refusal':
      return (segment.flags & RST) !== 0 && segment.sequence === 0;
    case 'any':
      return true;
  }
}

const mostTellingFirst = ['RST', 'SYN-ACK', 'SYN', 'FIN', 'final ACK', 'data', 'ACK'] as const;

function describe(direction: Direction, packet: Packet, segment: Segment, isFinalAck: boolean): PacketSeen {
  return {
    direction,
    packet: mostTellingFirst.find((kind) => isOfKind(kind, segment, isFinalAck)) ?? 'any',
    ...ports(direction, segment),
    flags: segment.flags,
    length: packet.length,
    payload: segment.payload,
  };
}

function ports(direction: Direction, { source, destination }: Segment): { clientPort: number; serverPort: number } {
  return direction === 'to server'
    ? { clientPort: source, serverPort: destination }
    : { clientPort: destination, serverPort: source };
}

function payloadOf({ bytes }: Packet, { payloadAt, payload }: Segment): Buffer {
  return bytes.subarray(payloadAt, payloadAt + payload);
}
