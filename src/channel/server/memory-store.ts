import { randomUUID } from 'node:crypto';
import { LastCallError, optionError } from '../../errors.ts';
import { checkNames, isObject, milliseconds } from '../../option-checks.ts';
import type { Outcome, OutcomeStore } from './outcomes.ts';

export interface MemoryStoreOptions {
  /** For how long a key is kept after its request has ended, in milliseconds. Default 600,000 (ten minutes). */
  readonly remembers?: number;
  /**
   * Bytes of keys and replies to keep, each counted with 300 more. Where a key has no room, its request is not processed. Where
   * a reply has no room, its outcome is unknown. A client gets as much as is free besides: one alone half of it, two a third each,
   * so that there is room for one more. Default 128 MiB.
   */
  readonly maxBytes?: number;
}

interface Kept {
  /** The client that the key belongs to; undefined where nobody has said. */
  readonly owner: string | undefined;
  /** Undefined while the request is under way, and where the outcome had no room. */
  readonly outcome: Outcome | undefined;
  readonly hasEnded: boolean;
  readonly bytes: number;
  readonly at: number;
}

// About what an entry costs besides its key and its reply.
const ENTRY = 300;

/**
 * Keeps outcomes in this process. A request with a key is processed once as long as the process lives, no matter how often its
 * connection breaks. Servers of one process may share a store. A full store removes nothing before its time, and refuses new keys.
 *
 * @throws `LastCallError` with code `ERR_OPTION` for a wrong option.
 */
export function memoryStore(options: MemoryStoreOptions = {}): OutcomeStore {
  if (!isObject(options)) throw optionError('options', 'an object', options);
  checkNames('options', options, ['remembers', 'maxBytes']);
  const remembers = milliseconds('remembers', options.remembers, 600_000);
  const { maxBytes = 128 * 1024 * 1024 } = options;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 0)
    throw optionError('maxBytes', 'a whole number of bytes', maxBytes);
  return new MemoryStore(remembers, maxBytes);
}

class MemoryStore implements OutcomeStore {
  readonly name: string = randomUUID();
  readonly remembers: number;
  readonly #maxBytes: number;
  /** The ended requests are in the order in which they ended. Those under way are anywhere among them. */
  readonly #kept = new Map<string, Kept>();
  readonly #bytesOf = new Map<string, number>();
  #bytes = 0;

  constructor(remembers: number, maxBytes: number) {
    this.remembers = remembers;
    this.#maxBytes = maxBytes;
  }

  claim(key: string, owner?: string): 'claimed' | 'under way' | Outcome {
    this.#forgetOld();
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept.outcome ?? 'under way';
    const bytes = ENTRY + 2 * key.length;
    if (!this.#fits(bytes, owner)) throw this.#fullError(owner);
    this.#put(key, { owner, outcome: undefined, hasEnded: false, bytes, at: performance.now() });
    return 'claimed';
  }

  /** Throws where the outcome has no room. The key stays, so that the request is not processed again. */
  keep(key: string, outcome: Outcome): void {
    const content = 'reply' in outcome ? outcome.reply.length : 2 * outcome.failure.length;
    const bytes = ENTRY + 2 * key.length + content;
    const owner = this.#kept.get(key)?.owner;
    this.#drop(key);
    const fits = this.#fits(bytes, owner);
    // Most small replies are a view of a larger buffer, which should not stay in memory.
    const own: Outcome = 'reply' in outcome && fits ? { ...outcome, reply: Uint8Array.from(outcome.reply) } : outcome;
    const kept = { owner, bytes: fits ? bytes : bytes - content, at: performance.now() };
    this.#put(key, { ...kept, outcome: fits ? own : undefined, hasEnded: true });
    if (!fits) throw this.#fullError(owner);
  }

  forget(key: string): void {
    if (this.#kept.get(key)?.outcome !== undefined) this.#drop(key);
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    this.#count(-kept.bytes, kept.owner);
  }

  #put(key: string, kept: Kept): void {
    this.#kept.set(key, kept);
    this.#count(kept.bytes, kept.owner);
  }

  #count(bytes: number, owner: string | undefined): void {
    this.#bytes += bytes;
    if (owner === undefined) return;
    const total = (this.#bytesOf.get(owner) ?? 0) + bytes;
    if (total === 0) this.#bytesOf.delete(owner);
    else this.#bytesOf.set(owner, total);
  }

  /**
   * Whether there is room for more of a client's. It may have as much as is left free then. So whatever the others have, there is
   * room for one more client, and nobody's share has to be known before.
   */
  #fits(more: number, owner: string | undefined): boolean {
    const free = this.#maxBytes - this.#bytes - more;
    return free >= (owner === undefined ? 0 : (this.#bytesOf.get(owner) ?? 0) + more);
  }

  #fullError(owner: string | undefined): LastCallError {
    const all = `The store holds ${this.#bytes} of ${this.#maxBytes} bytes`;
    const own =
      owner === undefined
        ? 'and is full'
        : `${this.#bytesOf.get(owner) ?? 0} of them for this client, whose share is full`;
    return new LastCallError('ERR_CHANNEL_LIMIT', `${all}, ${own}`);
  }

  #forgetOld(): void {
    const before = performance.now() - this.remembers;
    for (const [key, { hasEnded, at }] of this.#kept) {
      if (!hasEnded) continue;
      if (at > before) return;
      this.#drop(key);
    }
  }
}
