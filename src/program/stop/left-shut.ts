import type { ProgramGates } from './program-gates.ts';

/** The gates of the stops that are under way in this process. */
const underWay = new Set<ProgramGates>();

/** Lets `openGatesAgain` find these gates. Returns an undo function. */
export function rememberGates(gates: ProgramGates): () => void {
  underWay.add(gates);
  return () => void underWay.delete(gates);
}

/** After an error that nobody expected: opens all gates that stops have shut here. Returns whether none is left shut. Never throws. */
export function openGatesAgain(): boolean {
  return [...underWay].map((gates) => gates.reopen()).every((areOpen) => areOpen);
}
