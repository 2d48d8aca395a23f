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

/**
 * What it tells. `closing`: the close has begun, and has done all that it does before it first waits; `processed`: the
 * paths for which the program was asked, in order, once it is to forget the server.
 */
export type InterleaveTold =
  | { readonly told: 'listening' | 'closing'; readonly port: number }
  | { readonly told: 'report'; readonly port: number; readonly report: CloseReport }
  | { readonly told: 'processed'; readonly port: number; readonly processed: readonly string[] };

/** What it answers: more than one packet, with an end that is known by its path. */
export function bodyOf(path: string): string {
  return `${'x'.repeat(2_000)}${endOf(path)}`;
}

export function endOf(path: string): string {
  return `the end of ${path}`;
}
