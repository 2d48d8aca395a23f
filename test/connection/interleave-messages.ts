import type { CloseOptions, CloseReport } from '../../src/index.ts';

/** What the fixture is told: about one of its servers, by the port. */
export type InterleaveOrder =
  | { readonly order: 'listen'; readonly port: number }
  | {
      readonly order: 'close';
      readonly port: number;
      readonly how: 'graceful' | 'plain';
      readonly options: CloseOptions;
    }
  | { readonly order: 'forget'; readonly port: number };

/** What it tells of one of its servers. */
export type InterleaveTold =
  | { readonly listening: OfServer }
  /** The close has begun, and has done all that it does before it first waits. */
  | { readonly closing: OfServer }
  | { readonly closed: OfServer & { readonly report: CloseReport } }
  /** The server is forgotten; its program was asked for these paths, in this order. */
  | { readonly forgotten: OfServer & { readonly processed: readonly string[] } };

interface OfServer {
  readonly port: number;
}

/** What it answers: more than one packet, with an end that is known by its path. */
export function bodyOf(path: string): string {
  return `${'x'.repeat(2_000)}${endOf(path)}`;
}

export function endOf(path: string): string {
  return `the end of ${path}`;
}
