import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import tls from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { makeFolder } from '../harness/folders.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen, listenHttp } from '../harness/servers.ts';
import { until, within } from '../harness/wait.ts';

const OPTIONS: CloseOptions = { idleWait: 100, lingerWait: 500, deadline: 20_000 };
// Long after the close would have ended a client that waits for nothing.
const LONG = 500;

/** A client of a server that answers when the test lets it. */
interface Asked {
  readonly server: net.Server;
  /** More options of the close. */
  readonly options?: CloseOptions;
  /** What the client says, as the program's next question. */
  readonly say: (words: string) => void;
  /** What the program says to the client. */
  readonly answer: (words: string) => void;
  /** What the program has heard, and the client. */
  readonly asked: readonly string[];
  readonly heard: readonly string[];
  /** The end of the connection, as the client sees it. */
  readonly ended: Promise<unknown>;
}

const KINDS: Readonly<Record<string, (scope: Scope) => Promise<Asked>>> = {
  'a WebSocket': (scope) => startWebSocket(scope, false),
  'a WebSocket whose server object is given': (scope) => startWebSocket(scope, true),
  'a raw connection': (scope) => startRaw(scope, 'TCP'),
  'a raw connection over a Unix socket': (scope) => startRaw(scope, 'a Unix socket'),
  'a raw connection over TLS': (scope) => startRaw(scope, 'TLS'),
};

for (const [kind, start] of Object.entries(KINDS)) {
  const skip = kind.endsWith('TLS') && needsPrograms('openssl');

  describe(`a client that has spoken last, on ${kind}`, { timeout: 60_000, concurrency: true, skip }, () => {
    const proof = prove(`the answer to a client that has spoken last, on ${kind}`);

    it('gets its answer, however long the program works for it within `answerWait`', async (t) => {
      await using scope = new Scope();
      const { server, options, say, answer, asked, heard, ended } = await start(scope);
      say('question');
      await until('the program is asked', () => asked.length === 1);
      const closing = gracefulClose(server, { ...OPTIONS, ...options });
      // Time is what is tested.
      await wait(LONG);
      answer('answer');
      await within('the end', ended);
      assert.deepEqual(heard, ['answer']);
      const { outcome, connections, doubts } = await closing;
      const { cut, lateRequests } = connections;
      assert.deepEqual(
        { outcome, cut, lateRequests, doubts },
        { outcome: 'complete', cut: [], lateRequests: 0, doubts: [] },
      );
      proof.held(t, { 'waiting for an answer': connections.ended });
    });

    it('control: gets none with `answerWait: 0`', async (t) => {
      await using scope = new Scope();
      const { server, options, say, answer, asked, heard, ended } = await start(scope);
      say('question');
      await until('the program is asked', () => asked.length === 1);
      const closing = gracefulClose(server, { ...OPTIONS, ...options, answerWait: 0 });
      await within('the end', ended);
      answer('answer');
      await closing;
      assert.deepEqual(heard, []);
      proof.lost(t, 1);
    });

    it('is ended all the same when `answerWait` is over, counted from its last words', async () => {
      await using scope = new Scope();
      const { server, options, say, asked, ended } = await start(scope);
      say('notice');
      await until('the program is told', () => asked.length === 1);
      const closing = gracefulClose(server, { ...OPTIONS, ...options, answerWait: LONG });
      await within('the end', ended);
      const { outcome, duration } = await closing;
      assert.equal(outcome, 'complete');
      // A Unix socket has no clock: there it is counted from the start.
      assert(duration < LONG * 3, `${duration} ms`);
    });

    it('is in doubt in the report where the deadline ends it before that', async () => {
      await using scope = new Scope();
      const { server, options, say, asked, ended } = await start(scope);
      say('question');
      await until('the program is asked', () => asked.length === 1);
      const closing = gracefulClose(server, { ...OPTIONS, ...options, deadline: 1_500 });
      await within('the end', ended);
      const { outcome, doubts, connections } = await closing;
      assert.deepEqual({ outcome, cut: connections.cut }, { outcome: 'forced', cut: [] });
      assert.match(doubts.join('\n'), /^A client that spoke last was ended before `answerWait` was over/);
    });
  });
}

for (const [kind, start] of Object.entries(KINDS).slice(0, 3)) {
  describe(`a client of a program that answers at once, on ${kind}`, { timeout: 60_000, concurrency: true }, () => {
    it('gets the answer to its next question, asked in the same tick of the clock', async () => {
      await using scope = new Scope();
      const { server, options, say, answer, asked, heard, ended } = await start(scope);
      for (let question = 1; question < 5; question += 1) {
        say('question');
        await until('the program is asked', () => asked.length === question);
        answer('answer');
        await until('the client is answered', () => heard.length === question);
      }
      say('last question');
      await until('the program is asked', () => asked.length === 5);
      const closing = gracefulClose(server, { ...OPTIONS, ...options });
      // Time is what is tested.
      await wait(LONG);
      answer('last answer');
      await within('the end', ended);
      assert.equal(heard.at(-1), 'last answer');
      assert.equal((await closing).outcome, 'complete');
    });

    it('is ended as soon as it was answered, or quiet', async () => {
      await using scope = new Scope();
      const { server, options, say, answer, asked, heard, ended } = await start(scope);
      say('question');
      await until('the program is asked', () => asked.length === 1);
      // Ticks of the kernel's clock.
      await wait(30);
      answer('answer');
      await until('the client is answered', () => heard.length === 1);
      const closing = gracefulClose(server, { ...OPTIONS, ...options });
      await within('the end', ended);
      const { duration, doubts } = await closing;
      assert.deepEqual(doubts, []);
      assert(duration < 2_500, `${duration} ms`);
    });
  });
}

describe('a client that goes on talking and is not answered', { timeout: 60_000 }, () => {
  it('is closed on a WebSocket when `answerWait` is over, counted from the start of the close', async () => {
    await using scope = new Scope();
    const { server, say, asked, ended } = await startWebSocket(scope, false);
    const timer = setInterval(() => say('talk'), 20);
    void ended.then(() => clearInterval(timer));
    await until('it talks', () => asked.length > 1);
    const closing = gracefulClose(server, { ...OPTIONS, answerWait: 1_000 });
    await within('the end', ended);
    const { outcome, duration } = await closing;
    assert.equal(outcome, 'complete');
    assert(duration >= 1_000 && duration < 4_000, `${duration} ms`);
  });
});

for (const [kind, start] of Object.entries(KINDS).filter(([name]) => name.startsWith('a raw'))) {
  const skip = kind.endsWith('TLS') && needsPrograms('openssl');

  describe(`a client that goes on talking, on ${kind}`, { timeout: 60_000, concurrency: true, skip }, () => {
    const proof = prove(`the answer at the end of what a client sends for longer than \`answerWait\`, on ${kind}`);
    const ANSWER_WAIT = 400;

    /** The client pauses for longer than `idleWait`, and for less than `answerWait`. */
    async function talkWhileClosing(scope: Scope, deadline: number) {
      const { server, options, say, answer, asked, heard } = await start(scope);
      const timer = setInterval(() => say('talk'), ANSWER_WAIT / 2);
      scope.defer(() => clearInterval(timer));
      await until('it talks', () => asked.length > 1);
      const closing = gracefulClose(server, { ...OPTIONS, ...options, answerWait: ANSWER_WAIT, deadline });
      return { closing, answer, asked, heard, fallSilent: () => clearInterval(timer) };
    }

    it('is answered at its end, long after `answerWait`', async (t) => {
      await using scope = new Scope();
      const { closing, answer, asked, heard, fallSilent } = await talkWhileClosing(scope, 20_000);
      const before = asked.join('').length;
      await until('it has said more', () => asked.join('').length >= before + 5 * 'talk'.length);
      fallSilent();
      answer('answer');
      const { outcome, doubts } = await closing;
      assert.deepEqual({ outcome, doubts, heard }, { outcome: 'complete', doubts: [], heard: ['answer'] });
      proof.held(t, { 'talking on': 1 });
    });

    it('control: is cut at the deadline where that comes first, and the report says so', async (t) => {
      await using scope = new Scope();
      const { closing, heard } = await talkWhileClosing(scope, 1_500);
      const { outcome, doubts, connections } = await closing;
      assert.deepEqual({ outcome, heard }, { outcome: 'forced', heard: [] });
      proof.lost(t, doubts.length + connections.cut.length);
    });
  });
}

describe('a client that is only pushed to, on a WebSocket', { timeout: 60_000, concurrency: true }, () => {
  it('is closed at once', async () => {
    await using scope = new Scope();
    const { server, answer, heard, ended } = await startWebSocket(scope, false);
    answer('push');
    await until('it was pushed to', () => heard.length === 1);
    const closing = gracefulClose(server, OPTIONS);
    await within('the end', ended);
    assert((await closing).duration < 2_500);
  });

  it('is closed at once though it has answered a Ping last', async () => {
    await using scope = new Scope();
    const { server, webSocket, ended } = await startWebSocket(scope, false);
    // A tick of the kernel's clock lies between the two.
    const answered = once(webSocket, 'pong');
    webSocket.ping();
    await answered;
    const closing = gracefulClose(server, OPTIONS);
    await within('the end', ended);
    assert((await closing).duration < 2_500);
  });
});

describe('a raw client', { timeout: 60_000 }, () => {
  it('that is answered after its end is in doubt in the report, and so counts as late', async () => {
    await using scope = new Scope();
    const { server, say, answer, asked, ended } = await startRaw(scope, 'TCP', { staysOpen: true });
    say('question');
    await until('the program is asked', () => asked.length === 1);
    const closing = gracefulClose(server, { ...OPTIONS, answerWait: 200 });
    await within('the end', ended);
    answer('answer');
    const { outcome, connections, doubts } = await closing;
    assert.deepEqual({ outcome, late: connections.lateRequests }, { outcome: 'forced', late: 1 });
    assert.match(doubts.join('\n'), /^A client that spoke last got no answer/);
  });

  it('that waits for its answer is told the farewell, and gets its answer behind it', async () => {
    await using scope = new Scope();
    const { server, say, answer, asked, heard, ended } = await startRaw(scope, 'TCP');
    say('question');
    await until('the program is asked', () => asked.length === 1);
    const closing = gracefulClose(server, { ...OPTIONS, farewell: { say: () => Buffer.from('bye') } });
    await until('it is told', () => heard.length === 1);
    // Time is what is tested.
    await wait(LONG);
    answer('answer');
    await within('the end', ended);
    assert.deepEqual(heard, ['bye', 'answer']);
    assert.equal((await closing).outcome, 'complete');
  });
});

async function startWebSocket(scope: Scope, isGiven: boolean): Promise<Asked & { readonly webSocket: WebSocket }> {
  const server = scope.use(await listenHttp());
  const webSockets = new WebSocketServer({ server });
  const asked: string[] = [];
  const heard: string[] = [];
  const client = new WebSocket(`ws://127.0.0.1:${portOf(server)}`);
  scope.defer(() => client.terminate());
  client.on('message', (words: Buffer) => heard.push(words.toString()));
  const [[webSocket]] = await Promise.all([once(webSockets, 'connection'), once(client, 'open')]);
  assert(webSocket instanceof WebSocket);
  webSocket.on('message', (words: Buffer) => asked.push(words.toString())).on('error', () => {});
  return {
    server,
    ...(isGiven && { options: { webSockets } }),
    say: (words) => client.send(words),
    answer: (words) => webSocket.send(words, () => {}),
    asked,
    heard,
    ended: once(client, 'close'),
    webSocket,
  };
}

async function startRaw(
  scope: Scope,
  over: 'TCP' | 'TLS' | 'a Unix socket',
  { staysOpen = false }: { readonly staysOpen?: boolean } = {},
): Promise<Asked> {
  const isTls = over === 'TLS';
  const made = isTls ? tls.createServer(makeCertificate()) : net.createServer();
  const where =
    over === 'a Unix socket'
      ? { path: path.join(scope.use(makeFolder()).path, 'socket') }
      : { port: 0, host: '127.0.0.1' };
  const server = scope.use(await listen(made, where));
  const arrived = once(server, isTls ? 'secureConnection' : 'connection');
  const target = { ...where, ...(over !== 'a Unix socket' && { port: portOf(server) }), allowHalfOpen: staysOpen };
  const client = isTls ? tls.connect({ ...target, rejectUnauthorized: false }) : net.connect(target);
  scope.defer(() => client.destroy());
  const [accepted] = await arrived;
  assert(accepted instanceof net.Socket);
  const asked: string[] = [];
  const heard: string[] = [];
  accepted.on('data', (words) => asked.push(String(words))).on('error', () => {});
  client.on('data', (words) => heard.push(String(words))).on('error', () => {});
  return {
    server,
    say: (words) => void client.write(words),
    answer: (words) => void accepted.write(words),
    asked,
    heard,
    ended: once(client, 'end'),
  };
}
