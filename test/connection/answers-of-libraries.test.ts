import assert from 'node:assert/strict';
import type http from 'node:http';
import { createServer } from 'node:http';
import type net from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { ClientTCP, ServerTCP } from '@nestjs/microservices';
import { GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql';
import { createClient } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { WebSocket, WebSocketServer } from 'ws';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

const OPTIONS: CloseOptions = { idleWait: 100, lingerWait: 500, deadline: 20_000 };
// Long after the close would have ended a client that waits for nothing.
const LONG = 500;

/** A question that is under way, through a library. */
interface Question {
  readonly server: net.Server;
  readonly finish: () => void;
  readonly answer: Promise<unknown>;
}

for (const [what, ask] of Object.entries({
  'a mutation of graphql-ws': askGraphql,
  'an acknowledgement of socket.io': askSocketIo,
  'a reply of a TCP microservice of NestJS': askNest,
})) {
  describe(what, { timeout: 60_000 }, () => {
    const proof = prove(`${what}, while its server closes`);

    it('arrives before its connection is ended', async (t) => {
      await using scope = new Scope();
      const { server, finish, answer } = await ask(scope);
      const closing = gracefulClose(server, OPTIONS);
      // Time is what is tested.
      await wait(LONG);
      finish();
      assert.equal(await within('the answer', answer), 'answer');
      assert.equal((await closing).outcome, 'complete');
      proof.held(t, { 'under way': 1 });
    });

    it('control: does not arrive with `answerWait: 0`', async (t) => {
      await using scope = new Scope();
      const { server, finish, answer } = await ask(scope);
      await gracefulClose(server, { ...OPTIONS, answerWait: 0 });
      finish();
      assert.notEqual(await Promise.race([answer, wait(LONG)]), 'answer');
      proof.lost(t, 1);
    });
  });
}

describe('a client of socket.io that is only pushed to', { timeout: 60_000 }, () => {
  it('is closed at once though it has answered a heartbeat last', async () => {
    await using scope = new Scope();
    const server = scope.use(await listen(createServer()));
    const sockets = new Server(server, { pingInterval: 200 });
    let beats = 0;
    sockets.engine.on('connection', (socket) => socket.on('heartbeat', () => (beats += 1)));
    connectSocketIo(scope, server);
    await until('a heartbeat was answered', () => beats > 0);
    assert((await gracefulClose(server, OPTIONS)).duration < 2_500);
  });
});

async function askNest(scope: Scope): Promise<Question> {
  let finish: (() => void) | undefined;
  const service = new ServerTCP({ port: 0, host: '127.0.0.1' });
  service.addHandler('pay', () => new Promise((resolve) => (finish = () => resolve('answer'))));
  await new Promise<void>((resolve) => service.listen(() => resolve()));
  scope.defer(() => service.close());
  const server = service.unwrap<net.Server>();
  const client = new ClientTCP({ port: portOf(server), host: '127.0.0.1' });
  scope.defer(() => client.close());
  const answer = new Promise((resolve) => {
    client.send('pay', {}).subscribe({ next: resolve, error: resolve });
  });
  await until('the question is under way', () => finish !== undefined);
  return { server, finish: () => finish?.(), answer };
}

async function askGraphql(scope: Scope): Promise<Question> {
  const server = scope.use(await listen(createServer()));
  let finish: (() => void) | undefined;
  const pay = {
    type: GraphQLString,
    resolve: () => new Promise((resolve) => (finish = () => resolve('answer'))),
  };
  const schema = new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { pay } }),
    mutation: new GraphQLObjectType({ name: 'Mutation', fields: { pay } }),
  });
  useServer({ schema }, new WebSocketServer({ server }));
  const client = createClient({ url: `ws://127.0.0.1:${portOf(server)}`, webSocketImpl: WebSocket, retryAttempts: 0 });
  scope.defer(() => client.dispose());
  const answer = new Promise((resolve) => {
    const done = (): void => resolve(undefined);
    client.subscribe(
      { query: 'mutation { pay }' },
      { next: ({ data }) => resolve(data?.pay), error: done, complete: done },
    );
  });
  await until('the mutation is under way', () => finish !== undefined);
  return { server, finish: () => finish?.(), answer };
}

async function askSocketIo(scope: Scope): Promise<Question> {
  const server = scope.use(await listen(createServer()));
  let finish: (() => void) | undefined;
  new Server(server).on('connection', (socket) => {
    socket.on('save', (acknowledge: (words: string) => void) => {
      finish = () => acknowledge('answer');
    });
  });
  const client = connectSocketIo(scope, server);
  const answer = client
    .timeout(5_000)
    .emitWithAck('save')
    .catch(() => {});
  await until('the request is under way', () => finish !== undefined);
  return { server, finish: () => finish?.(), answer };
}

function connectSocketIo(scope: Scope, server: http.Server): ReturnType<typeof io> {
  const client = io(`http://127.0.0.1:${portOf(server)}`, { transports: ['websocket'], reconnection: false });
  scope.defer(() => client.close());
  return client;
}
