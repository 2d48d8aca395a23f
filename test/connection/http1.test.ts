import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { listen, listenHttp } from '../harness/servers.ts';

/** Ways in which a program may write the head of its response; each sends two cookies and asks for a kept connection. */
const HEADS: readonly { readonly way: string; readonly write: (response: http.ServerResponse) => void }[] = [
  {
    way: 'set beforehand',
    write: (response) => {
      response.setHeader('Connection', 'keep-alive');
      response.setHeader('Set-Cookie', ['a=1', 'b=2']);
    },
  },
  {
    way: 'given to writeHead as an object',
    write: (response) => response.writeHead(200, { connection: 'keep-alive', 'Set-Cookie': ['a=1', 'b=2'] }),
  },
  {
    way: 'given to writeHead with a status message',
    write: (response) => response.writeHead(200, 'Fine', { Connection: 'keep-alive', 'Set-Cookie': ['a=1', 'b=2'] }),
  },
  {
    way: 'given to writeHead as a flat array',
    write: (response) =>
      response.writeHead(200, ['Connection', 'keep-alive', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']),
  },
  {
    way: 'given to writeHead as an array of pairs',
    write: (response) => {
      const pairs = [
        ['Connection', 'keep-alive'],
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=2'],
      ];
      Reflect.apply(response.writeHead, response, [200, pairs]);
    },
  },
  {
    way: 'set beforehand, and added to in writeHead',
    write: (response) => {
      response.setHeader('Set-Cookie', 'a=1');
      response.appendHeader('Set-Cookie', 'b=2');
      response.writeHead(200, { Connection: 'keep-alive', 'X-More': 'yes' });
    },
  },
];

describe('a server that begins to listen', () => {
  it('leaves writeHead as Node made it', async () => {
    // The first one of this process: a close is rehearsed now.
    const unlistening = http.createServer();
    const { writeHead } = http.ServerResponse.prototype;
    const seen: unknown[] = [];
    unlistening.on('listening', () => seen.push(http.ServerResponse.prototype.writeHead));
    await using server = await listen(unlistening);
    assert.ok(server.listening);
    seen.push(http.ServerResponse.prototype.writeHead);
    assert.equal(seen.length, 2);
    assert.ok(seen.every((one) => one === writeHead));
  });
});

describe('a response during a close', () => {
  for (const { way, write } of HEADS) {
    it(`carries \`Connection: close\` once, and its other headers, ${way}`, async () => {
      await using busy = await startAsked();
      const close = gracefulClose(busy.server);
      write(busy.response);
      busy.response.end('served');
      const { headers, raw } = await busy.answer;
      assert.deepEqual(valuesOf(raw, 'connection'), ['close']);
      assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2']);
      assert.equal((await close).outcome, 'complete');
    });

    it(`is as the program wrote it without a close, ${way}`, async () => {
      await using busy = await startAsked();
      write(busy.response);
      busy.response.end('served');
      const { headers, raw } = await busy.answer;
      assert.deepEqual(valuesOf(raw, 'connection'), ['keep-alive']);
      assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2']);
    });
  }

  it('whose writeHead was taken before the close, as by those who want to see the head, carries it, too', async () => {
    await using busy = await startAsked();
    const taken = busy.response.writeHead;
    busy.response.writeHead = (...args: unknown[]) => Reflect.apply(taken, busy.response, args);
    const close = gracefulClose(busy.server);
    await turn();
    busy.response.end('served');
    assert.deepEqual(valuesOf((await busy.answer).raw, 'connection'), ['close']);
    await close;
  });

  it('of another server keeps its connection', async () => {
    await using busy = await startAsked();
    await using other = await startAsked();
    const close = gracefulClose(busy.server);
    other.response.end('served');
    assert.deepEqual(valuesOf((await other.answer).raw, 'connection'), ['keep-alive']);
    busy.response.end('served');
    assert.deepEqual(valuesOf((await busy.answer).raw, 'connection'), ['close']);
    await close;
  });
});

describe("somebody else's wrapper of writeHead", () => {
  it('from before the close is called during it, and is in place afterwards', async () => {
    using wrapper = wrapWriteHead();
    await using busy = await startAsked();
    const close = gracefulClose(busy.server);
    busy.response.end('served');
    assert.deepEqual(valuesOf((await busy.answer).raw, 'connection'), ['close']);
    await close;
    assert.equal(wrapper.calls, 1);
    assert.equal(http.ServerResponse.prototype.writeHead, wrapper.function);
  });

  it('from the middle of a close stays, and the next close still has its say', async () => {
    await using first = await startAsked();
    const close = gracefulClose(first.server);
    using wrapper = wrapWriteHead();
    first.response.end('served');
    assert.deepEqual(valuesOf((await first.answer).raw, 'connection'), ['close']);
    await close;
    assert.equal(http.ServerResponse.prototype.writeHead, wrapper.function);

    await using between = await startAsked();
    between.response.end('served');
    assert.deepEqual(valuesOf((await between.answer).raw, 'connection'), ['keep-alive']);

    await using second = await startAsked();
    const again = gracefulClose(second.server);
    second.response.end('served');
    assert.deepEqual(valuesOf((await second.answer).raw, 'connection'), ['close']);
    await again;
    assert.equal(wrapper.calls, 3);
  });
});

interface Asked extends AsyncDisposable {
  readonly server: http.Server;
  readonly response: http.ServerResponse;
  readonly answer: Promise<{ readonly headers: http.IncomingHttpHeaders; readonly raw: readonly string[] }>;
}

/** A server with one client, which would keep its connection and waits for the response. */
async function startAsked(): Promise<Asked> {
  const server = await listenHttp(() => {});
  const agent = new http.Agent({ keepAlive: true });
  const request = http.get({ host: '127.0.0.1', port: portOf(server), agent });
  const answer = once(request, 'response').then(async ([incoming]) => {
    incoming.resume();
    await once(incoming, 'end');
    return { headers: incoming.headers, raw: incoming.rawHeaders };
  });
  const [, response] = await once(server, 'request');
  const end = async (): Promise<void> => {
    agent.destroy();
    await server[Symbol.asyncDispose]();
  };
  return { server, response, answer, [Symbol.asyncDispose]: end };
}

/** Wraps writeHead as tools for tracing and compression do, until the block ends. */
function wrapWriteHead(): Disposable & { readonly calls: number; readonly function: unknown } {
  const { prototype } = http.ServerResponse;
  const original = prototype.writeHead;
  const restore = (): void => {
    prototype.writeHead = original;
  };
  const wrapped = { calls: 0, function: countingWriteHead as unknown, [Symbol.dispose]: restore };
  function countingWriteHead(this: http.ServerResponse, ...args: unknown[]): http.ServerResponse {
    wrapped.calls += 1;
    return Reflect.apply(original, this, args);
  }
  prototype.writeHead = countingWriteHead;
  return wrapped;
}

function valuesOf(raw: readonly string[], name: string): readonly string[] {
  return raw.filter((_, index) => index % 2 === 1 && raw[index - 1]?.toLowerCase() === name);
}
