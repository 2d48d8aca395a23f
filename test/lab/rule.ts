export type Direction = 'to server' | 'to client';

/**
 * The kinds of packet that a rule can name. Some packets are of several kinds (a FIN that carries data):
 * - `SYN`, `SYN-ACK`, `FIN`, `RST`: by their flags; a SYN may ask for ECN;
 * - `refusal`: the RST that answers a SYN (RFC 9293 3.5.2: its sequence number is 0);
 * - `data`: with a payload;
 * - `ACK`: an ACK and nothing else, no payload;
 * - `final ACK`: such an ACK, if it is the first packet from the client after a SYN-ACK;
 * - `any`: every TCP packet.
 */
export type PacketKind = 'SYN' | 'SYN-ACK' | 'final ACK' | 'ACK' | 'data' | 'FIN' | 'RST' | 'refusal' | 'any';

/** What the wire does with some of the packets that pass. It is asked when a packet has travelled, just before it arrives. */
export interface Rule {
  readonly direction: Direction;
  readonly packet: PacketKind;
  readonly clientPort?: number;
  readonly serverPort?: number;
  /** A string, one byte a character (latin1), that the payload contains. */
  readonly payload?: string;
  /** The first of the matching packets that the rule acts on, counted from 1, the default. */
  readonly from?: number;
  /** How many of them it acts on; default 1, Infinity for all. */
  readonly count?: number;
  /**
   * - `drop`: the packet is lost;
   * - `hold`: it waits, and those behind it overtake it, until the rule is told to release or to drop it;
   * - `report`: it goes on, and is not subject to random loss.
   */
  readonly action: 'drop' | 'hold' | 'report';
}

/** A packet that a rule acted on. */
export interface PacketSeen {
  readonly direction: Direction;
  /** The most telling of its kinds, in the order RST, SYN-ACK, SYN, FIN, final ACK, data, ACK; else `any`. */
  readonly packet: PacketKind;
  readonly clientPort: number;
  readonly serverPort: number;
  /** The TCP header's byte of flags. */
  readonly flags: number;
  /** The whole IP packet's length and its TCP payload's, in bytes. */
  readonly length: number;
  readonly payload: number;
}

/** Packets of one direction since the lab was opened. */
export interface LineStats {
  /** Handed to the host at the end of the line. */
  readonly carried: number;
  /** Lost, at random or by a rule. */
  readonly dropped: number;
  /** Kept by a rule now. */
  readonly held: number;
  /** Still travelling. */
  readonly underway: number;
}

export interface WireStats {
  readonly carried: number;
  readonly dropped: number;
  readonly toServer: LineStats;
  readonly toClient: LineStats;
}

/** How the wire treats every packet. */
export interface Shape {
  /** Milliseconds one way. */
  readonly delay?: number;
  /** The share of TCP packets that is lost in each direction, 0 to 1. */
  readonly loss?: number;
  /** Begins the random numbers of both directions anew. */
  readonly seed?: number;
}
