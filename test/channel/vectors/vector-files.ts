/** The files of docs/channel-vectors. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type Side = 'client' | 'server';

/** The content of a frame. The fields depend on its kind. */
export interface Meaning {
  readonly kind: string | number;
  readonly flags: number;
  readonly id: number;
  readonly [field: string]: unknown;
}

export interface FrameVector {
  readonly name: string;
  readonly hex: string;
  readonly frame: Meaning;
  /** False for one that only a later version sends. */
  readonly encodes?: false;
}

/** What the program of a side does to make the side send the step's bytes. */
export interface Does {
  readonly request?: {
    readonly number: number;
    readonly payload?: string;
    readonly chunks?: readonly string[];
    readonly key?: string;
    /** The client has made the key. */
    readonly made?: true;
  };
  readonly cancel?: number;
  readonly close?: true;
  readonly reply?: { readonly to: number; readonly payload?: string; readonly chunks?: readonly string[] };
  readonly fail?: { readonly to: number; readonly text: string };
  /** The store has no room. */
  readonly refuse?: { readonly to: number };
  /** The program replies, and the store cannot keep it. */
  readonly lose?: { readonly to: number; readonly payload: string };
  readonly message?: string;
  readonly goodbye?: { readonly reason: 'closing' | 'idle'; readonly retryAfter: number };
}

export interface Step {
  readonly from: Side;
  /** 1 where there is none. */
  readonly connection?: number;
  readonly does?: Does;
  readonly hex: string;
  readonly means: string;
  /** Sent before the server's last step has come to the client. */
  readonly crosses?: true;
  readonly ends?: true;
}

export interface Conversation {
  readonly name: string;
  /** Which sides can be tested with it. */
  readonly tests: readonly Side[];
  readonly steps: readonly Step[];
  /** False where the server's program reads nothing of its requests. */
  readonly reads?: false;
  readonly messages?: readonly string[];
  /** What the client's program knows in the end. */
  readonly outcomes?: readonly {
    readonly request: number;
    readonly is: 'done' | 'failed' | 'not processed' | 'unknown' | 'key reused';
    readonly reply?: string;
  }[];
}

export interface ErrorVector extends Conversation {
  /** What the tested side sends after the steps, before it ends the connection. */
  readonly error: { readonly code: number; readonly word: string; readonly lastAccepted: number };
}

/** The folder of the vectors. The built file is four levels below the package. */
export const VECTORS: string = fileURLToPath(new URL('../../../../docs/channel-vectors/', import.meta.url));

export const frameVectors: readonly FrameVector[] = read('frames') as readonly FrameVector[];
export const conversations: readonly Conversation[] = read('conversations') as readonly Conversation[];
export const errorVectors: readonly ErrorVector[] = read('errors') as readonly ErrorVector[];

/** The steps as the client sees them: it sends what crosses a step of the server before that step comes. */
export function asTheClientSees(steps: readonly Step[]): readonly Step[] {
  const seen: Step[] = [];
  for (const step of steps) {
    seen.splice(step.crosses === true ? -1 : seen.length, 0, step);
  }
  return seen;
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(`${VECTORS}${name}.json`, 'utf8'));
}
