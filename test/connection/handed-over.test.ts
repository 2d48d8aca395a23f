import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { suite, test } from 'node:test';
import tls from 'node:tls';
import { type CloseOptions, type CloseReport, gracefulClose } from '../../src/index.ts';
import { makeCertificate } from '../harness/certificate.ts';
import { needsPrograms } from '../harness/needs.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { listen } from '../harness/servers.ts';
import { within } from '../harness/wait.ts';
import { RawHttpClient } from './raw-http-client.ts';

const OPTIONS: CloseOptions = { idleWait: 200, lingerWait: 500, deadline: 20_000 };
const skip = needsPrograms('openssl');
const CERTIFICATE = skip === false ? makeCertificate() : {};
const STARTTLS = 'STARTTLS\r\n';
const PROXY_LINE = 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n';

/** A server that accepts, and hands what it accepts to another one, which does not listen. */
interface Pair {
  readonly front: net.Server;
  readonly behind: net.Server;
}

interface Way {
  readonly title: string;
  readonly make: (answer: Answer) => Pair;
  readonly protocol?: 'h2' | undefined;
  /** What the client sends before TLS. */
  readonly before?: string | undefined;
}

type Answer = (request: unknown, response: { end(text: string): unknown }) => void;

const WAYS: readonly Way[] = [
  { title: 'https behind a net server that looks at the first byte', make: byFirstByte },
  {
    title: 'https behind a net server that takes the PROXY line off',
    before: PROXY_LINE,
    make: (answer) => behindProxyLine(https.createServer(CERTIFICATE, answer)),
  },
  {
    title: 'HTTP/2 over TLS behind a net server',
    protocol: 'h2',
    make: (answer) => behindNet(http2.createSecureServer(CERTIFICATE, answer)),
  },
  {
    title: 'http on a TLS socket that the program has made',
    make: (answer) => {
      const behind = http.createServer(answer);
      const front = net.createServer((socket) => behind.emit('connection', secure(socket)));
      return { front, behind };
    },
  },
  {
    title: 'http on TLS that begins after STARTTLS',
    before: STARTTLS,
    make: (answer) => {
      const behind = http.createServer(answer);
      const front = net.createServer((socket) => {
        socket.once('data', () => {
          socket.write('go\r\n');
          behind.emit('connection', secure(socket));
        });
      });
      return { front, behind };
    },
  },
];

for (const { title, make, protocol, before } of WAYS) {
  suite(`a request under way by ${title}`, { timeout: 60_000, skip }, () => {
    const proof = prove(`requests under way by ${title}`);

    for (const given of ['front', 'both', 'behind', 'all'] as const) {
      test(`is answered in a close of ${given}, however long it takes`, async (t) => {
        await using scope = new Scope();
        const { pair, answered, finish, witness } = await begin(scope, make, { protocol, before });
        const closing = close(pair, given);
        // Quiet since later than the request: by then a connection that is taken for raw has been ended, too.
        if (given !== 'behind') assert.equal(await witness.ended, 'EOF');
        finish();
        assert.equal(await answered, 'answered');
        const { outcome, connections } = await closing;
        const { cut, lateRequests, farewells } = connections;
        assert.deepEqual(
          { outcome, cut, lateRequests, said: farewells.said },
          { outcome: 'complete', cut: [], lateRequests: 0, said: 1 },
        );
        proof.held(t, { 'under way': 1 });
      });
    }

    test('control: is cut where its connection is ended for being quiet', async (t) => {
      await using scope = new Scope();
      const accepted: net.Socket[] = [];
      const { pair, answered, finish } = await begin(scope, make, { protocol, before, accepted });
      pair.front.close();
      // As it was before TLS was found on it.
      for (const socket of accepted) socket.end();
      for (const socket of accepted) if (!socket.closed) await once(socket, 'close');
      finish();
      assert.notEqual(await answered, 'answered');
      proof.lost(t, 1);
    });
  });
}

test('a request that comes during the close, by TLS that is handed over, is answered as the last one', {
  skip,
}, async () => {
  await using scope = new Scope();
  const { pair, answered, finish, port } = await begin(scope, byFirstByte, {});
  const waiting = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  scope.defer(() => waiting.destroy());
  await once(waiting, 'secureConnect');
  const closing = close(pair, 'front');
  waiting.write('GET /now HTTP/1.1\r\nHost: x\r\n\r\n');
  let text = '';
  for await (const chunk of waiting) text += String(chunk);
  assert.match(text, /^connection: close\r\n/im);
  assert.match(text, /\r\n\r\nat once$/);
  finish();
  assert.equal(await answered, 'answered');
  assert.equal((await closing).outcome, 'complete');
});

function close({ front, behind }: Pair, given: 'front' | 'both' | 'behind' | 'all'): Promise<CloseReport> {
  if (given === 'all') return gracefulClose('all', OPTIONS);
  return gracefulClose({ front, behind, both: [front, behind] }[given], OPTIONS);
}

/** A request that the program has, and a connection of another client that has gone quiet after that. */
async function begin(
  scope: Scope,
  make: Way['make'],
  { protocol, before, accepted = [] }: Pick<Way, 'protocol' | 'before'> & { readonly accepted?: net.Socket[] },
) {
  const came = new EventEmitter();
  const pair = make((request, response) => {
    const isNow = request instanceof http.IncomingMessage && request.url === '/now';
    if (isNow) response.end('at once');
    else came.emit('request', response);
  });
  pair.front.on('connection', (socket: net.Socket) => {
    accepted.push(socket);
    socket.on('error', () => {});
  });
  scope.use(await listen(pair.front));
  const port = portOf(pair.front);
  const requested = once(came, 'request');
  const answered = within('the answer', protocol === 'h2' ? askHttp2(scope, port) : askHttp1(scope, port, before));
  const [response]: { end(text: string): unknown }[] = await requested;
  const witness = scope.use(await RawHttpClient.connect(port));
  witness.endAfterServer();
  return { pair, answered, witness, port, finish: () => response?.end('answered') };
}

/** Resolves with the body, or with what is there of it, or the error's code. */
async function askHttp1(scope: Scope, port: number, before = ''): Promise<string> {
  const below = net.connect(port, '127.0.0.1');
  scope.defer(() => below.destroy());
  if (before !== '') below.write(before);
  if (before === STARTTLS) await once(below, 'data');
  const client = tls.connect({ socket: below, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  let text = '';
  try {
    for await (const chunk of client) text += String(chunk);
  } catch (error) {
    return String(Reflect.get(Object(error), 'code'));
  }
  return text.split('\r\n\r\n', 2)[1] ?? '';
}

async function askHttp2(scope: Scope, port: number): Promise<string> {
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  session.on('error', () => {});
  scope.defer(() => session.destroy());
  const request = session.request({ ':path': '/' });
  let text = '';
  try {
    for await (const chunk of request) text += String(chunk);
  } catch (error) {
    return String(Reflect.get(Object(error), 'code'));
  }
  return text;
}

function byFirstByte(answer: Answer): Pair {
  const behind = https.createServer(CERTIFICATE, answer);
  const front = net.createServer((socket) => {
    socket.once('readable', () => {
      const first: unknown = socket.read(1);
      if (!Buffer.isBuffer(first)) return;
      socket.unshift(first);
      if (first[0] === 22) behind.emit('connection', socket);
    });
  });
  return { front, behind };
}

function behindNet(behind: net.Server): Pair {
  return { front: net.createServer((socket) => void behind.emit('connection', socket)), behind };
}

function behindProxyLine(behind: net.Server): Pair {
  const front = net.createServer((socket) => {
    socket.once('readable', () => {
      const line: unknown = socket.read(PROXY_LINE.length);
      if (line !== null) behind.emit('connection', socket);
    });
  });
  return { front, behind };
}

function secure(socket: net.Socket): tls.TLSSocket {
  return new tls.TLSSocket(socket, { ...CERTIFICATE, isServer: true });
}
