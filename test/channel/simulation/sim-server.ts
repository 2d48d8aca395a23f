import { type ConnectedClient, identityBy } from '../../../src/channel/server/caller.ts';
import { memoryStore } from '../../../src/channel/server/memory-store.ts';
import type { ChannelRequest, HandlerResult } from '../../../src/channel/server/request.ts';
import { ServerConnection } from '../../../src/channel/server/connection.ts';
import { completeServeOptions, type ServerSettings } from '../../../src/channel/server/options.ts';
import type { SimClock } from './sim-clock.ts';
import { makeConnection, type SimEnd } from './sim-connection.ts';
import type { SimDatabase, SimProcess } from './sim-store.ts';

/** A handler that waits for `answer`. */
interface Pending {
  readonly process: SimProcess;
  readonly answer: () => void;
}

const CLIENT: ConnectedClient = { remote: 'simulated', tls: undefined, identify: identityBy };

/** So small that every payload needs several frames, and waits for credit. */
export const SIM_LIMITS = { maxFrame: 1_024, maxUnread: 8_192 } as const;

/** The service: one process after the other, at one address. */
export class SimServer {
  readonly #clock: SimClock;
  readonly #database: SimDatabase | undefined;
  /** How often the request of each number was processed up to its effect. */
  readonly processed: Map<number, number> = new Map();
  #pending: Pending[] = [];
  #process: SimProcess = { isAlive: true };
  #settings: ServerSettings;
  #isListening = true;
  readonly #open = new Map<ServerConnection, SimEnd>();
  #backlog: SimEnd[] = [];

  /** Without a database each process has its own store. */
  constructor(clock: SimClock, database: SimDatabase | undefined) {
    this.#clock = clock;
    this.#database = database;
    this.#settings = this.#makeSettings();
  }

  get isListening(): boolean {
    return this.#isListening;
  }

  get pending(): number {
    return this.#pending.length;
  }

  get open(): number {
    return this.#open.size + this.#backlog.length;
  }

  /** A client connects. `undefined` where it is refused. */
  connect(): SimEnd | undefined {
    if (!this.#isListening) return undefined;
    const { client, server } = makeConnection();
    this.#backlog.push(server);
    return client;
  }

  /** Accepts the waiting connections. */
  accept(): void {
    for (const end of this.#backlog) {
      const connection = new ServerConnection(end, CLIENT, this.#settings, () => this.#open.delete(connection));
      this.#open.set(connection, end);
    }
    this.#backlog = [];
  }

  /** One of the handlers answers. */
  answer(which: number): void {
    const [one] = this.#pending.splice(which % Math.max(1, this.#pending.length), 1);
    one?.answer();
  }

  /** Like gracefulClose: refuses new clients, accepts those in the queue, sends GOODBYE to all, and cuts what is left at the deadline. */
  close(deadline: number): void {
    this.accept();
    this.#isListening = false;
    const leaving = [...this.#open];
    for (const [connection] of leaving) connection.goodbye();
    this.#clock.after(deadline, () => {
      for (const [connection, end] of leaving) if (this.#open.has(connection)) end.destroy();
    });
  }

  /** The control: closes without a farewell. */
  closePlainly(): void {
    this.#isListening = false;
    for (const end of [...this.#open.values(), ...this.#backlog]) end.destroy();
    this.#backlog = [];
  }

  /** The process dies, with all requests that it was processing. */
  kill(): void {
    this.#process.isAlive = false;
    this.#pending = this.#pending.filter(({ process }) => process !== this.#process);
    this.closePlainly();
  }

  /** A new process listens. */
  start(): void {
    if (this.#isListening) return;
    this.#process = { isAlive: true };
    this.#settings = this.#makeSettings();
    this.#isListening = true;
  }

  #makeSettings(): ServerSettings {
    const process = this.#process;
    const store = this.#database?.storeFor(process) ?? memoryStore();
    const handler = (request: ChannelRequest): Promise<HandlerResult> => this.#handle(request, process);
    return completeServeOptions(handler, { ...SIM_LIMITS, store }, this.#clock);
  }

  /** Echoes after `answer`. */
  async #handle(request: ChannelRequest, process: SimProcess): Promise<HandlerResult> {
    const payload = await request.bytes();
    const number = Buffer.from(payload).readUInt32BE(0);
    this.processed.set(number, (this.processed.get(number) ?? 0) + 1);
    await new Promise<void>((resolve) => this.#pending.push({ process, answer: resolve }));
    return number % 3 === 0 ? chunksOf(payload) : payload;
  }
}

async function* chunksOf(payload: Uint8Array): AsyncGenerator<Uint8Array, undefined> {
  for (let at = 0; at < payload.length; at += 700) yield await Promise.resolve(payload.subarray(at, at + 700));
  return undefined;
}
