import assert from 'node:assert/strict';
import http from 'node:http';
import type net from 'node:net';
import { describe, it } from 'node:test';
import { type CloseOptions, gracefulClose, LastCallError } from '../../src/index.ts';
import { listenHttp } from '../harness/servers.ts';

describe('a wrong call throws at once', () => {
  const MILLISECONDS = 'a number of milliseconds from 0 to 2147483647';
  const NAMES =
    'deadline, newConnections, gate, handshakeWait, idleWait, lingerWait, answerWait, eventStreams, spread, farewell, onDrain, webSockets, webSocketClose, signal, onProgress';
  const times = ['deadline', 'handshakeWait', 'idleWait', 'lingerWait', 'answerWait'].flatMap((name) =>
    [
      { value: -1, shown: '`-1`' },
      { value: Number.NaN, shown: '`NaN`' },
      { value: Number.POSITIVE_INFINITY, shown: '`Infinity`' },
      { value: 2 ** 31, shown: '`2147483648`' },
      { value: '5', shown: '`5`' },
      { value: null, shown: '`null`' },
    ].map(({ value, shown }) => ({ options: { [name]: value }, name, expected: MILLISECONDS, shown })),
  );
  const wrong: readonly { options: unknown; name: string; expected: string; shown: string }[] = [
    ...times,
    { options: { newConnections: 'drop' }, name: 'newConnections', expected: '`refuse` or `hold`', shown: '`drop`' },
    {
      options: { eventStreams: 'some' },
      name: 'eventStreams',
      expected: '`reconnecting`, `all`, `none`, or a function',
      shown: '`some`',
    },
    { options: { gate: 'mine' }, name: 'gate', expected: '`own`, `shared` or left out', shown: '`mine`' },
    { options: { signal: {} }, name: 'signal', expected: 'an AbortSignal', shown: 'an object' },
    { options: { onProgress: [] }, name: 'onProgress', expected: 'a function', shown: 'an array' },
    { options: { dedline: 5 }, name: 'options', expected: `made of ${NAMES}`, shown: '`dedline`' },
    { options: 5, name: 'options', expected: 'an object', shown: '`5`' },
    { options: null, name: 'options', expected: 'an object', shown: '`null`' },
    { options: [], name: 'options', expected: 'an object', shown: 'an array' },
    {
      options: { webSocketClose: { cod: 1012 } },
      name: 'webSocketClose',
      expected: 'made of code, reason',
      shown: '`cod`',
    },
  ];

  for (const { options, name, expected, shown } of wrong) {
    it(`for \`${name}\` as ${shown}`, async () => {
      await using server = await listenHttp();
      const error = thrownBy(() => gracefulClose(server, options as CloseOptions));
      assert.equal(error.code, 'ERR_OPTION');
      assert.equal(error.message, `Expected \`${name}\` to be ${expected}, got ${shown}`);
      assert.equal(server.listening, true);
    });
  }

  it('but not for what somebody has put on Object.prototype, which is no option', async () => {
    await using server = await listenHttp();
    Object.assign(Object.prototype, { deadline: 'a word', someWord: true });
    try {
      const close = gracefulClose(server, {});
      assert.equal((await close).outcome, 'complete');
    } finally {
      for (const name of ['deadline', 'someWord']) Reflect.deleteProperty(Object.prototype, name);
    }
  });

  const noServers: readonly { name: string; servers: unknown; shown: string }[] = [
    { name: 'undefined', servers: undefined, shown: '`undefined`' },
    { name: 'null', servers: null, shown: '`null`' },
    { name: 'an object', servers: {}, shown: 'an object' },
    { name: 'a wrong word', servers: 'each', shown: '`each`' },
    { name: 'a port', servers: 8080, shown: '`8080`' },
    { name: 'an array with something else', servers: [http.createServer(), {}], shown: 'an object' },
    {
      name: 'an Express application',
      servers: () => {},
      shown: 'a function; of an Express application, pass what `app.listen()` returns',
    },
    {
      name: 'a Fastify application',
      servers: { server: http.createServer() },
      shown: "an object; pass its `server`, or `'all'`",
    },
    { name: 'a promise', servers: Promise.resolve(), shown: 'an object; await it first' },
  ];
  for (const { name, servers, shown } of noServers) {
    it(`for ${name} as a server`, () => {
      const error = thrownBy(() => gracefulClose(servers as net.Server));
      assert.equal(error.code, 'ERR_SERVER');
      const expected = "a net, tls, http, https or http2 server, an array of them, or `'all'`";
      assert.equal(error.message, `Expected ${expected}, got ${shown}`);
    });
  }
});

function thrownBy(call: () => unknown): LastCallError {
  try {
    call();
  } catch (error) {
    assert(error instanceof LastCallError);
    return error;
  }
  return assert.fail('nothing was thrown');
}
