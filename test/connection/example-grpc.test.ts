import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { prove } from '../harness/proof.ts';
import { within } from '../harness/wait.ts';
import { startExample } from './example-process.ts';

interface Hello {
  readonly message: string;
}

/** A stream of ten messages, and what came of it. For `using`. */
interface Hellos extends Disposable {
  readonly first: Promise<unknown>;
  readonly all: Promise<{ messages: number; code: grpc.status }>;
}

describe('examples/grpc', { timeout: 180_000 }, () => {
  const proof = prove('a stream that is under way from examples/grpc');

  it('ends a stream that is under way with OK', async (t) => {
    await using server = startExample('grpc');
    using hellos = helloOften(await server.port);
    await hellos.first;
    const closing = server.close();
    assert.deepEqual(await hellos.all, { messages: 10, code: grpc.status.OK });
    const { outcome, connections } = (await closing).report;
    assert.deepEqual({ outcome, ended: connections.ended }, { outcome: 'complete', ended: 1 });
    proof.held(t, { streams: 1 });
  });

  it('control: killed, it cuts the stream', async (t) => {
    await using server = startExample('grpc');
    using hellos = helloOften(await server.port);
    await hellos.first;
    server.kill();
    assert.equal((await hellos.all).code, grpc.status.UNAVAILABLE);
    proof.lost(t, 1);
  });
});

function helloOften(port: number): Hellos {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const toJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const fromJson = (bytes: Buffer): Hello => JSON.parse(bytes.toString());
  const request = { name: 'Ada', times: 10 };
  const call = client.makeServerStreamRequest('/example.Greeter/SayHelloOften', toJson, fromJson, request);
  let messages = 0;
  call.on('data', () => {
    messages += 1;
  });
  call.on('error', () => {});
  const all = new Promise<{ messages: number; code: grpc.status }>((resolve) => {
    call.on('status', ({ code }: grpc.StatusObject) => resolve({ messages, code }));
  });
  return {
    first: within('the first message', once(call, 'data')),
    all: within('the end of the stream', all),
    [Symbol.dispose]: () => client.close(),
  };
}
