import { within } from '../harness/wait.ts';
import type { PacketSeen } from './rule.ts';
import type { WireControl } from './wire-control.ts';

interface Waiting {
  readonly resolve: (packet: PacketSeen) => void;
  readonly reject: (reason: Error) => void;
}

/** A rule in force. */
export class AppliedRule {
  readonly #control: WireControl;
  readonly #id: number;
  readonly #seen: PacketSeen[] = [];
  readonly #waiting: Waiting[] = [];
  #acted = 0;
  #ended: Error | undefined;

  constructor(control: WireControl, id: number) {
    this.#control = control;
    this.#id = id;
    control.watch(id, {
      onPacket: (packet) => this.#note(packet),
      onEnd: (reason) => this.#end(reason),
    });
  }

  /** On how many packets the rule has acted, as far as the wire has told. */
  get acted(): number {
    return this.#acted;
  }

  /** The next packet that the rule acts on, or has acted on while nobody asked. Rejects when the lab closes first, and after a minute. */
  next(): Promise<PacketSeen> {
    const packet = this.#seen.shift();
    if (packet !== undefined) return Promise.resolve(packet);
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const next = new Promise<PacketSeen>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    return within(`a packet for rule ${this.#id} of the wire`, next);
  }

  /** Lets the packets held so far arrive, at once and in order; they have when this resolves. The rule stays in force. */
  async release(): Promise<void> {
    await this.#control.ask({ ask: 'release', id: this.#id });
  }

  /** Throws away the packets held so far. The rule stays in force. */
  async drop(): Promise<void> {
    await this.#control.ask({ ask: 'drop', id: this.#id });
  }

  /** Ends the rule and releases what it still holds. */
  async remove(): Promise<void> {
    await this.#control.ask({ ask: 'remove', id: this.#id });
    this.#end(new Error('the rule was removed before it acted on another packet'));
  }

  #note(packet: PacketSeen): void {
    this.#acted += 1;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#seen.push(packet);
    else waiting.resolve(packet);
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}
