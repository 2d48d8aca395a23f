import { ChannelClient } from '../../../src/channel/client/client.ts';
import { completeConnectOptions, completeRequest } from '../../../src/channel/client/options.ts';
import type { RequestOptions } from '../../../src/channel/client/request.ts';
import { LastCallError } from '../../../src/errors.ts';
import type { SimClock } from './sim-clock.ts';
import { makeConnection, type SimEnd } from './sim-connection.ts';
import { SIM_LIMITS, type SimServer } from './sim-server.ts';

/** The result of a request's promise. */
export type Said = 'nothing' | 'done' | 'wrong reply' | LastCallError['code'];

/** One request of the simulation. */
export interface SimRequest {
  readonly number: number;
  readonly kind: 'plain' | 'idempotent' | 'exactly once';
  readonly abort: AbortController;
  said: Said;
}

export class SimClient {
  readonly requests: SimRequest[] = [];
  readonly ends: SimEnd[] = [];
  readonly #client: ChannelClient;
  #isClosed = false;

  constructor(clock: SimClock, server: SimServer, seed: number) {
    let state = seed;
    this.#client = new ChannelClient({
      // Long replies wait for one another.
      ...completeConnectOptions({ port: 1 }, { ...SIM_LIMITS, maxGathered: 0, giveUpAfter: 1e9, maxSendings: 1_000 }),
      clock,
      random: () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647,
      dial: () => {
        const end = server.connect();
        if (end === undefined) return refused();
        this.ends.push(end);
        return end;
      },
      // So few that connections use up their ids now and then.
      lastId: 9,
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get waiting(): number {
    return this.requests.filter(({ said }) => said === 'nothing').length;
  }

  ask(number: number, kind: SimRequest['kind'], length: number, inChunks: boolean): void {
    const payload = Buffer.alloc(4 + length, number);
    payload.writeUInt32BE(number);
    // The client makes every other key, and lets the server forget it.
    const key = number % 2 === 0 ? `request ${number}` : true;
    const abort = new AbortController();
    const request: SimRequest = { number, kind, abort, said: 'nothing' };
    this.requests.push(request);
    const options: RequestOptions = {
      signal: abort.signal,
      idempotent: kind === 'idempotent',
      exactlyOnce: kind === 'exactly once' ? key : false,
    };
    this.#client.request(completeRequest(inChunks ? () => chunksOf(payload) : payload, options), false).then(
      (reply) => {
        const isEcho = reply instanceof Uint8Array && payload.equals(reply);
        request.said = isEcho ? 'done' : 'wrong reply';
      },
      (error: unknown) => {
        if (!(error instanceof LastCallError)) throw error;
        request.said = error.code;
      },
    );
  }

  close(): void {
    void this.#client.close(30_000).then(() => {
      this.#isClosed = true;
    });
  }
}

function refused(): SimEnd {
  const { client } = makeConnection();
  client.refuse();
  return client;
}

async function* chunksOf(payload: Uint8Array): AsyncGenerator<Uint8Array, undefined> {
  for (let at = 0; at < payload.length; at += 500) yield await Promise.resolve(payload.subarray(at, at + 500));
  return undefined;
}
