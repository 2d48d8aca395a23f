/** Where a client connects to, and how. */
export type ConnectOptions = ConnectTarget & {
  /** Written as soon as the connection is there; one byte a character (latin1). */
  readonly send?: string;
  /** Whether the client goes on sending after the peer's FIN until it is told to end; default false. */
  readonly halfOpen?: boolean;
};

type ConnectTarget =
  | {
      readonly host: string;
      readonly port: number;
      /** Default: one that no other connection of this test process was given. */
      readonly localPort?: number;
    }
  | { readonly path: string };

/** What a test orders of the agent. */
export type AgentOrder =
  | { readonly order: 'connect'; readonly id: number; readonly options: ConnectOptions }
  | { readonly order: 'send'; readonly id: number; readonly bytes: string }
  | { readonly order: 'end' | 'reset'; readonly id: number };

/** What the agent tells of a connection. */
export type AgentEvent =
  | { readonly event: 'connected'; readonly id: number }
  | { readonly event: 'EOF'; readonly id: number }
  | { readonly event: 'received'; readonly id: number; readonly bytes: string }
  | { readonly event: 'closed'; readonly id: number; readonly ended: string };
