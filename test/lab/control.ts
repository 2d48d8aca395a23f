import { StringDecoder } from 'node:string_decoder';
import type { PacketSeen, Rule, Shape, WireStats } from './rule.ts';

export type HostName = 'client' | 'server';

/** What a test asks of the wire process: a line of JSON each, on the process's standard input, with a number. Who makes a rule gives it its id. */
export type Request =
  | { readonly ask: 'shape'; readonly shape: Shape }
  | { readonly ask: 'rule'; readonly id: number; readonly rule: Rule }
  | { readonly ask: 'release' | 'drop' | 'remove'; readonly id: number }
  | { readonly ask: 'stats' }
  | { readonly ask: 'read'; readonly host: HostName; readonly path: string }
  | { readonly ask: 'write'; readonly host: HostName; readonly path: string; readonly text: string };

export type NumberedRequest = Request & { readonly number: number };

/** What a request is answered with: the stats, a file's text, or nothing. */
export type Answer = WireStats | string | null;

/** What the wire process tells, a line of JSON each, on its standard output. */
export type Message =
  | { readonly tell: 'ready'; readonly client: HostFacts; readonly server: HostFacts }
  | { readonly tell: 'impossible'; readonly reason: string }
  | { readonly tell: 'answer'; readonly number: number; readonly answer: Answer }
  | { readonly tell: 'refusal'; readonly number: number; readonly reason: string }
  | { readonly tell: 'acted'; readonly id: number; readonly packet: PacketSeen };

export interface HostFacts {
  readonly ipv4: string;
  readonly ipv6: string;
  /** The wire process's descriptor of the host's network namespace. */
  readonly descriptor: number;
}

/** Cuts a stream of bytes into its lines, each once it is whole. */
export class Lines {
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  of(bytes: Buffer): readonly string[] {
    const lines = (this.#rest + this.#decoder.write(bytes)).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines;
  }
}
