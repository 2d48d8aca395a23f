import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { type Channel, LastCallError } from '../../../src/channel.ts';
import { decodeHello } from '../../../src/channel/wire/hello.ts';
import { Scope } from '../../harness/scope.ts';
import { until } from '../../harness/wait.ts';
import { connect } from '../open-channel.ts';
import { chunksOf } from './play-client.ts';
import { PlayedConnection } from './played-connection.ts';
import { asTheClientSees, type Conversation, type Does, type ErrorVector } from './vector-files.ts';

const OUTCOMES: Readonly<Record<string, string>> = {
  ERR_REQUEST_FAILED: 'failed',
  ERR_NOT_PROCESSED: 'not processed',
  ERR_OUTCOME_UNKNOWN: 'unknown',
  ERR_KEY_REUSED: 'key reused',
};

/** Plays the server's part of a conversation to a client of this package, and asserts what its program gets. */
export async function playServer(conversation: Conversation | ErrorVector, t: TestContext): Promise<void> {
  await using scope = new Scope();
  const { steps, messages = [], outcomes = [] } = conversation;
  const connections = new Connections();
  const server = net.createServer((socket) => {
    scope.defer(() => socket.destroy());
    connections.add(new PlayedConnection(socket));
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  scope.defer(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  const { maxFrame, credit, store: identity } = decodeHello(Buffer.from(steps[0]!.hex, 'hex').subarray(10));
  const received: string[] = [];
  const channel = connect(
    scope,
    { target: { host: '127.0.0.1', port } },
    {
      maxFrame,
      maxUnread: credit,
      identity,
      ...(messages.length > 0 && { onMessage: (message) => received.push(Buffer.from(message).toString('hex')) }),
    },
  );
  const program = new ClientProgram(t, channel);
  for (const step of asTheClientSees(steps)) {
    const connection = await connections.at(step.connection ?? 1);
    if (step.from === 'server') connection.send(step);
    else {
      await program.act(step.does);
      await connection.expect(step);
    }
  }
  if ('error' in conversation) return await (await connections.at(1)).expectError(conversation.error);
  assert.deepEqual(await program.outcomes(), outcomes);
  assert.deepEqual(received, messages);
}

/** The connections of the client, in the order in which they come. */
class Connections {
  readonly #all: PlayedConnection[] = [];

  add(connection: PlayedConnection): void {
    this.#all.push(connection);
  }

  async at(number: number): Promise<PlayedConnection> {
    await until(`connection ${number} comes`, () => this.#all.length >= number);
    return this.#all[number - 1]!;
  }
}

/** The program behind the client. It carries out the steps. */
class ClientProgram {
  readonly #t: TestContext;
  readonly #channel: Channel;
  readonly #results: Promise<NonNullable<Conversation['outcomes']>[number]>[] = [];
  readonly #controllers = new Map<number, AbortController>();

  constructor(t: TestContext, channel: Channel) {
    this.#t = t;
    this.#channel = channel;
  }

  async act({ request, cancel, close }: Does = {}): Promise<void> {
    if (request !== undefined) this.#results.push(this.#ask(request));
    if (cancel !== undefined) this.#controllers.get(cancel)?.abort();
    if (close !== true) return;
    // Before HELLO there is nobody to send a GOODBYE to.
    await until('the channel is connected', () => this.#channel.isConnected);
    void this.#channel.close();
  }

  outcomes(): Promise<NonNullable<Conversation['outcomes']>> {
    return Promise.all(this.#results);
  }

  async #ask(request: NonNullable<Does['request']>): Promise<NonNullable<Conversation['outcomes']>[number]> {
    const { number, payload = '', chunks, key, made } = request;
    if (key !== undefined && made) this.#t.mock.method(crypto, 'randomUUID', () => key);
    const controller = new AbortController();
    this.#controllers.set(number, controller);
    const asked = chunks === undefined ? Buffer.from(payload, 'hex') : () => chunksOf(chunks);
    const exactlyOnce = made ?? key ?? false;
    try {
      const reply = await this.#channel.request(asked, { signal: controller.signal, exactlyOnce });
      return { request: number, is: 'done', reply: Buffer.from(reply).toString('hex') };
    } catch (error) {
      const is = error instanceof LastCallError ? OUTCOMES[error.code] : undefined;
      return { request: number, is: (is ?? String(error)) as 'unknown' };
    }
  }
}
