import { once } from 'node:events';
import net from 'node:net';
import {
  type ChannelHandler,
  type ChannelPeer,
  type HandlerResult,
  LastCallError,
  memoryStore,
  type OutcomeStore,
} from '../../../src/channel.ts';
import { decodeHello } from '../../../src/channel/wire/hello.ts';
import { Scope } from '../../harness/scope.ts';
import { deferred, serve } from '../open-channel.ts';
import { until } from '../../harness/wait.ts';
import { PlayedConnection } from './played-connection.ts';
import type { Conversation, Does, ErrorVector, Step } from './vector-files.ts';

/** Plays the client's part of a conversation to a server of this package. */
export async function playClient(conversation: Conversation | ErrorVector): Promise<void> {
  await using scope = new Scope();
  const { steps } = conversation;
  const program = new ServerProgram(conversation);
  const hello = decodeHello(Buffer.from(steps.find(({ from }) => from === 'server')!.hex, 'hex').subarray(10));
  const served = await serve(scope, program.handler, {
    maxFrame: hello.maxFrame,
    maxUnread: hello.credit,
    maxRequests: hello.maxRequests,
    store: program.storeLike(hello.store, hello.remembers),
    onPeer: (peer) => program.peer.resolve(peer),
  });
  const connections = new Map<number, PlayedConnection>();
  const on = async (number: number): Promise<PlayedConnection> => {
    const known = connections.get(number);
    if (known !== undefined) return known;
    const socket = net.connect(served.target);
    scope.defer(() => socket.destroy());
    const connection = new PlayedConnection(socket);
    connections.set(number, connection);
    await once(socket, 'connect');
    return connection;
  };
  for (const step of steps) {
    const connection = await on(step.connection ?? 1);
    if (step.from === 'client') connection.send(step);
    else {
      await program.act(step);
      await connection.expect(step);
    }
  }
  if ('error' in conversation) await (await on(1)).expectError(conversation.error);
}

/** A request that waits for a step. */
interface Asked {
  readonly resolve: (result: HandlerResult) => void;
  readonly reject: (error: Error) => void;
}

/** The program behind the server. It carries out the steps. */
class ServerProgram {
  readonly peer: { readonly promise: Promise<ChannelPeer>; readonly resolve: (peer: ChannelPeer) => void } = deferred();
  readonly #asked: Asked[] = [];
  readonly #reads: boolean;
  readonly #does: readonly Does[];

  constructor({ steps, reads }: Conversation) {
    this.#reads = reads !== false;
    this.#does = steps.map(({ does = {} }) => does);
  }

  readonly handler: ChannelHandler = async (request) => {
    const answer = new Promise<HandlerResult>((resolve, reject) => {
      this.#asked.push({ resolve, reject });
      request.signal.addEventListener('abort', () => reject(request.signal.reason as Error));
    });
    // It may be cancelled before it has come whole.
    answer.catch(() => {});
    if (this.#reads) await request.bytes();
    return answer;
  };

  /** A store with a fixed name, which is full or loses outcomes where the conversation needs that. */
  storeLike(name: string, remembers: number): OutcomeStore {
    const store = memoryStore({ remembers });
    const isFull = this.#does.some(({ refuse }) => refuse !== undefined);
    const loses = this.#does.some(({ lose }) => lose !== undefined);
    return {
      name,
      remembers,
      claim: (key, owner) => {
        if (isFull) throw new Error('full');
        return store.claim(key, owner);
      },
      keep: (key, outcome) => {
        if (loses) throw new Error('lost');
        return store.keep(key, outcome);
      },
      forget: (key) => store.forget(key),
    };
  }

  async act({ does = {}, hex }: Step): Promise<void> {
    const { reply, fail, lose, message, goodbye } = does;
    if (reply !== undefined) {
      const { chunks } = reply;
      const { resolve } = await this.#request(reply.to);
      resolve(chunks === undefined ? Buffer.from(reply.payload ?? '', 'hex') : chunksOf(chunks));
    }
    if (lose !== undefined) (await this.#request(lose.to)).resolve(Buffer.from(lose.payload, 'hex'));
    if (fail !== undefined) {
      (await this.#request(fail.to)).reject(new LastCallError('ERR_REQUEST_FAILED', fail.text));
    }
    if (message !== undefined) await (await this.peer.promise).send(Buffer.from(message, 'hex'));
    if (goodbye !== undefined) {
      const lastAccepted = Buffer.from(hex, 'hex').readUInt32BE(6);
      if (lastAccepted > 0) await this.#request(lastAccepted);
      (await this.peer.promise).goodbye(goodbye);
    }
  }

  /** Resolves with the n-th request that the program gets. */
  async #request(number: number): Promise<Asked> {
    await until(`request ${number} comes`, () => this.#asked.length >= number);
    return this.#asked[number - 1]!;
  }
}

/** Chunks of a program. */
export async function* chunksOf(chunks: readonly string[]): AsyncGenerator<Uint8Array, void> {
  for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk, 'hex'));
}
