import type { CloseOptions, CloseReport, GateMessage } from '../../../src/index.ts';

/** How the fixture listens. */
export interface CloseServerSetup {
  readonly listen: ListenTarget;
  /** `mptcp`: the socket is made by the fixture itself and comes to `listen` as a descriptor. */
  readonly protocol?: 'tcp' | 'mptcp';
  /** Integer options set on the listener once it listens: level, name, value. */
  readonly socketOptions?: readonly (readonly [level: number, name: number, value: number])[];
  /** A network device that the listener is bound to, once it listens. */
  readonly device?: string;
}

export interface ListenTarget {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly backlog?: number;
  readonly ipv6Only?: boolean;
}

/** What can travel to the fixture of the options of a close. */
export type SentOptions = Omit<CloseOptions, 'signal' | 'onProgress'>;

/** How a server is closed: by lastcall, by Node's own `server.close()`, the control, or by both in the same turn. */
export type How = 'graceful' | 'plain' | 'both';

export interface Shut {
  readonly how: How;
  readonly options?: SentOptions;
  /** Whether the event loop stands still again right after the close has begun, until the next byte. */
  readonly standStillAfter?: boolean;
}

/** What a test orders: at once the event loop stands still; when a byte comes on standard input the server is closed. */
export interface Order {
  readonly shut: Shut;
}

/** What the fixture sends, each as it happens. `closing`: the close has begun, and has done all that it does before it first waits. */
export type CloseServerSends =
  | { readonly listening: true }
  | { readonly standingStill: true }
  | { readonly accepted: true }
  | { readonly gate: GateMessage }
  | { readonly closing: true }
  | { readonly report: CloseReport };
