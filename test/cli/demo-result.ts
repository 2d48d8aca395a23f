/** The parts of `lastcall demo --json` that the tests read. */
export interface DemoResult {
  readonly clients: number;
  readonly verdict: { readonly ok: boolean };
  readonly ways: readonly {
    readonly way: string;
    readonly lost: number;
    readonly counts: Readonly<Record<string, number>> & { readonly served: number };
    readonly stops: readonly {
      readonly report?: { readonly outcome: string; readonly listeners: readonly { readonly queued: number }[] };
    }[];
  }[];
}

export function isDemoResult(value: unknown): value is DemoResult {
  return typeof value === 'object' && value !== null && 'ways' in value && 'verdict' in value && 'clients' in value;
}
