import type { TestContext } from 'node:test';

/** What was seen of the state in which a claim was put to the test: at least one of these shows that the path was walked. */
export interface Walked {
  readonly queued?: number | undefined;
  readonly halfOpen?: number | undefined;
  /** Another state that the claim is about, counted, and named: `under way`, `idle`, `streams`. */
  readonly [state: string]: number | undefined;
}

/** A claim that nobody is lost, and its control: the same schedule without lastcall, which must lose. */
export interface Proof {
  /** The claim was held: nobody was lost in this state. Call it once for each stop, after the assertions. */
  held(t: TestContext, walked: Walked): void;
  /** The control lost `lost` clients, requests or messages. Throws where that is none: such a control proves nothing. */
  lost(t: TestContext, lost: number): void;
}

/**
 * Names a claim for the table that the whole suite prints at its end. The suite fails where a claim has no control that lost.
 *
 * @example
 * const proof = prove('300 clients with a new connection for each request');
 * test('nobody is lost', async (t) => proof.held(t, { queued }));
 * test('control: a plain close resets them', async (t) => proof.lost(t, result.lost));
 */
export function prove(claim: string): Proof {
  return {
    held: (t, walked) => t.diagnostic(`proof ${JSON.stringify({ claim, walked })}`),
    lost: (t, lost) => {
      if (lost === 0) throw new Error(`The control of "${claim}" lost nobody`);
      t.diagnostic(`proof ${JSON.stringify({ claim, lost })}`);
    },
  };
}
