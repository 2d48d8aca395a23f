import { randomUUID } from 'node:crypto';
import { LastCallError, optionError } from '../../errors.ts';
import { checkNames, isObject, milliseconds } from '../../option-checks.ts';
import type { Outcome, OutcomeStore } from './outcomes.ts';

export interface MemoryStoreOptions {
  /** For how long a key is remembered after its request has ended, in milliseconds. Default 600,000 (ten minutes). */
  readonly remembers?: number;
  /**
   * Bytes of keys and replies to keep, each counted with 200 more. Beyond it new keys are refused, as not processed,
   * and of a reply that has no room the outcome is unknown. Default 64 MiB.
   */
  readonly maxBytes?: number;
}

interface Kept {
  /** Undefined while it is under way, and where there was no room for it. */
  readonly outcome: Outcome | undefined;
  readonly hasEnded: boolean;
  readonly bytes: number;
  readonly at: number;
}

// What an entry costs besides its key and its reply, about.
const ENTRY = 200;

/**
 * Remembers outcomes in this process: with it a request with a key is processed once as long as the process lives, however
 * often its connection breaks. Servers of one process may share one. Nothing is thrown out before its time: where it is full, new
 * keys are refused.
 *
 * @throws `LastCallError` with code `ERR_OPTION` for a wrong option.
 */
export function memoryStore(options: MemoryStoreOptions = {}): OutcomeStore {
  if (!isObject(options)) throw optionError('options', 'an object', options);
  checkNames('options', options, ['remembers', 'maxBytes']);
  const remembers = milliseconds('remembers', options.remembers, 600_000);
  const { maxBytes = 64 * 1024 * 1024 } = options;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 0)
    throw optionError('maxBytes', 'a whole number of bytes', maxBytes);
  return new MemoryStore(remembers, maxBytes);
}

class MemoryStore implements OutcomeStore {
  readonly name: string = randomUUID();
  readonly remembers: number;
  readonly #maxBytes: number;
  /** In the order in which they ended, behind one another; those under way are anywhere. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(remembers: number, maxBytes: number) {
    this.remembers = remembers;
    this.#maxBytes = maxBytes;
  }

  claim(key: string): 'claimed' | 'under way' | Outcome {
    this.#forgetOld();
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept.outcome ?? 'under way';
    const bytes = ENTRY + 2 * key.length;
    if (this.#bytes + bytes > this.#maxBytes) {
      throw fullError(this.#bytes, this.#maxBytes);
    }
    this.#put(key, { outcome: undefined, hasEnded: false, bytes, at: performance.now() });
    return 'claimed';
  }

  /** @throws where there is no room for it: nobody is to process it again all the same, for as long as keys are remembered. */
  keep(key: string, outcome: Outcome): void {
    const content = 'reply' in outcome ? outcome.reply.length : 2 * outcome.failure.length;
    const bytes = ENTRY + 2 * key.length + content;
    this.#drop(key);
    const fits = this.#bytes + bytes <= this.#maxBytes;
    // A small reply is a part of something larger, most often, that is not to be kept.
    const own: Outcome = 'reply' in outcome && fits ? { reply: Uint8Array.from(outcome.reply) } : outcome;
    const kept = { bytes: fits ? bytes : bytes - content, at: performance.now() };
    this.#put(key, { ...kept, outcome: fits ? own : undefined, hasEnded: true });
    if (!fits) throw fullError(this.#bytes, this.#maxBytes);
  }

  forget(key: string): void {
    if (this.#kept.get(key)?.outcome !== undefined) this.#drop(key);
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#bytes -= kept.bytes;
    this.#kept.delete(key);
  }

  #put(key: string, kept: Kept): void {
    this.#kept.set(key, kept);
    this.#bytes += kept.bytes;
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

function fullError(bytes: number, most: number): LastCallError {
  return new LastCallError('ERR_CHANNEL_LIMIT', `it has ${bytes} of ${most} bytes`);
}
