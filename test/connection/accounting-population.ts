import fc from 'fast-check';
import { type ClientPlan, DEEDS, type ServerKind } from '../fixtures/connection/accounting-clients.ts';

/** One close: who is there, who comes as it begins, and how it is called. Times are in milliseconds. */
export interface Population {
  readonly clients: readonly ClientPlan[];
  readonly late: readonly ClientPlan[];
  /** Servers without clients, beside those that the clients need. */
  readonly idleServers: readonly ServerKind[];
  readonly options: {
    readonly deadline: number;
    readonly idleWait: number;
    readonly lingerWait: number;
    readonly handshakeWait: number;
    readonly spread: number;
    readonly newConnections: 'refuse' | 'hold';
  };
  /** When the caller aborts. */
  readonly abortAfter: number | null;
  readonly farewell: boolean;
  /** Whether the WebSocket server is given to the close. */
  readonly webSockets: boolean;
  /** Whether the program ends what never ends, when it is asked to. */
  readonly drains: boolean;
}

/** Any population of clients of these servers. */
export function populations(kinds: readonly ServerKind[]): fc.Arbitrary<Population> {
  const leaving = fc.record({
    how: fc.constantFrom('reset' as const, 'destroy' as const, 'half-close' as const),
    after: fc.nat(300),
  });
  const client = fc
    .constantFrom(...kinds.flatMap((server) => DEEDS[server].map((deed) => ({ server, deed }))))
    .chain((what) => fc.record({ ...constants(what), leaves: fc.option(leaving, { freq: 2 }) }));
  const deadline = fc.constantFrom(1_200, 500, 100, 0);
  return fc.record({
    clients: fc.array(client, { maxLength: 60, size: 'max' }),
    late: fc.array(client, { maxLength: 30, size: 'max' }),
    idleServers: fc.subarray([...kinds]),
    options: deadline.chain((deadline) =>
      fc.record({
        deadline: fc.constant(deadline),
        idleWait: fc.nat(150),
        lingerWait: fc.nat(150),
        handshakeWait: fc.nat(200),
        spread: fc.nat(Math.min(deadline, 100)),
        newConnections: fc.constantFrom('refuse' as const, 'hold' as const),
      }),
    ),
    abortAfter: fc.option(fc.nat(400), { freq: 3 }),
    farewell: fc.boolean(),
    webSockets: fc.boolean(),
    drains: fc.boolean(),
  });
}

/** Everything that a client can do, done by one each, and none that leaves by itself. */
export function onceEach(kinds: readonly ServerKind[]): Population {
  return {
    clients: kinds.flatMap((server) => DEEDS[server].map((deed) => ({ server, deed, leaves: null }))),
    late: [],
    idleServers: [],
    options: {
      deadline: 1_200,
      idleWait: 50,
      lingerWait: 50,
      handshakeWait: 50,
      spread: 0,
      newConnections: 'refuse',
    },
    abortAfter: null,
    farewell: true,
    webSockets: true,
    drains: false,
  };
}

function constants(what: Pick<ClientPlan, 'server' | 'deed'>): {
  server: fc.Arbitrary<ClientPlan['server']>;
  deed: fc.Arbitrary<ClientPlan['deed']>;
} {
  return { server: fc.constant(what.server), deed: fc.constant(what.deed) };
}
