import { setImmediate as turn } from 'node:timers/promises';
import { SimClient, type SimRequest } from './sim-client.ts';
import { SimClock } from './sim-clock.ts';
import type { SimEnd } from './sim-connection.ts';
import { SimServer } from './sim-server.ts';
import { SimDatabase } from './sim-store.ts';

/** Everything that can happen. `pick` selects to whom, `amount` how much. */
export type Happening =
  | 'ask'
  | 'cancel'
  | 'deliver'
  | 'accept'
  | 'answer'
  | 'time'
  | 'long time'
  | 'close'
  | 'close plainly'
  | 'start'
  | 'cut'
  | 'notice'
  | 'kill';

export interface Step {
  readonly happens: Happening;
  readonly pick: number;
  readonly amount: number;
}

/** The result of a schedule. */
export interface Outcome {
  readonly requests: readonly SimRequest[];
  readonly processed: ReadonlyMap<number, number>;
  /** Undefined where there is no database. */
  readonly effects: ReadonlyMap<number, number> | undefined;
  /** Connections that the servers still have. */
  readonly left: number;
  readonly clientsClosed: boolean;
  /** Connections that the clients made. */
  readonly connections: number;
}

const KINDS = ['plain', 'idempotent', 'exactly once'] as const;
const DEADLINE = 60_000;

/** Runs the steps, and then everything to its end, without further breaks. */
export async function simulate(steps: readonly Step[], hasDatabase: boolean): Promise<Outcome> {
  const clock = new SimClock();
  const database = hasDatabase ? new SimDatabase() : undefined;
  const server = new SimServer(clock, database);
  const clients = [new SimClient(clock, server, 11), new SimClient(clock, server, 222)];
  let asked = 0;
  const ends = (): readonly SimEnd[] => clients.flatMap((client) => client.ends.flatMap((end) => [end, end.peer!]));

  const step = async ({ happens, pick, amount }: Step): Promise<void> => {
    const client = clients[pick % clients.length]!;
    switch (happens) {
      case 'ask':
        client.ask(asked++, KINDS[amount % KINDS.length]!, (amount * 37) % 5_000, amount % 5 === 0);
        break;
      case 'cancel':
        choose(client.requests, amount)?.abort.abort();
        break;
      case 'deliver':
        choose(
          ends().filter(({ hasMore }) => hasMore),
          pick,
        )?.deliver(1 + amount);
        break;
      case 'accept':
        server.accept();
        break;
      case 'answer':
        server.answer(pick);
        break;
      case 'time':
        // All steps together take less time than any side waits for a sign of life.
        await clock.pass(amount / 10, settle);
        break;
      case 'long time':
        await clock.pass(20 * amount, settle);
        break;
      case 'close':
        if (server.isListening) server.close(DEADLINE);
        break;
      case 'close plainly':
        if (server.isListening) server.closePlainly();
        break;
      case 'start':
        server.start();
        break;
      case 'cut':
        choose(
          ends().filter(({ isClosed }) => !isClosed),
          pick,
        )?.cut();
        break;
      case 'notice':
        choose(
          ends().filter(({ mustNotice }) => mustNotice),
          pick,
        )?.notice();
        break;
      case 'kill':
        if (server.isListening) server.kill();
        break;
    }
    await settle();
  };

  const runToItsEnd = async (isOver: () => boolean): Promise<void> => {
    for (let round = 0; round < 2_000 && !isOver(); round++) {
      server.start();
      server.accept();
      for (const end of ends()) {
        end.notice();
        while (end.hasMore) {
          end.deliver(100_000);
          await settle();
        }
      }
      while (server.pending > 0) {
        server.answer(0);
        await settle();
      }
      await clock.pass(50, settle);
    }
  };

  for (const next of steps) await step(next);
  await runToItsEnd(() => clients.every(({ waiting }) => waiting === 0));
  server.close(DEADLINE);
  for (const client of clients) client.close();
  const isAllOver = (): boolean => clients.every(({ isClosed }) => isClosed) && server.open === 0;
  await runToItsEnd(isAllOver);
  return {
    requests: clients.flatMap(({ requests }) => requests),
    processed: server.processed,
    effects: database?.effects,
    left: server.open,
    clientsClosed: clients.every(({ isClosed }) => isClosed),
    connections: clients.reduce((sum, client) => sum + client.ends.length, 0),
  };
}

function choose<Item>(items: readonly Item[], pick: number): Item | undefined {
  return items[pick % Math.max(1, items.length)];
}

/** Lets promises and immediate callbacks run. */
async function settle(): Promise<void> {
  await turn();
  await turn();
}
