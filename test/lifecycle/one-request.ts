import net from 'node:net';

/** How long a client waits for the next byte, in ms. */
const PATIENCE = 60_000;

/** A client with a connection of its own, that sends one request. For `using`. */
export interface OneRequest extends Disposable {
  /** Resolves when the kernel has answered. */
  readonly connected: Promise<void>;
  /** The first line of the response, or the error's code; empty if the connection ends without a byte. */
  readonly answer: Promise<string>;
  /** The response's body, or the error's code. */
  readonly body: Promise<string>;
}

/** Connects, and asks at once. */
export function askOnce(
  target: net.NetConnectOpts,
  { path = '/', connection = 'close' }: { readonly path?: string; readonly connection?: string } = {},
): OneRequest {
  const socket = net.connect(target);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: ${connection}\r\n\r\n`);
  socket.setTimeout(PATIENCE, () => socket.destroy(new Error(`nothing came in ${PATIENCE} ms`)));
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  // The answer has the error too.
  connected.catch(() => {});
  const came = new Promise<string | { readonly error: string }>((resolve) => {
    let text = '';
    socket.on('data', (bytes) => (text += bytes.toString()));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve({ error: error.code ?? error.message }));
    socket.once('end', () => resolve(text));
    socket.once('close', () => resolve(text));
  });
  return {
    connected,
    answer: came.then((it) => (typeof it === 'string' ? (it.split('\r\n', 1)[0] ?? '') : it.error)),
    body: came.then((it) => (typeof it === 'string' ? (it.split('\r\n\r\n', 2)[1] ?? '') : it.error)),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** Clients who are all connected. For `using`. */
export interface ConnectedClients extends Disposable {
  readonly answers: Promise<readonly string[]>;
  readonly bodies: Promise<readonly string[]>;
  /** How many have their answer. */
  readonly answered: number;
}

/** Connects `count` clients to these targets in turn. Resolves when all of them are connected. */
export async function connectClients(
  count: number,
  ...targets: readonly net.NetConnectOpts[]
): Promise<ConnectedClients> {
  const clients = Array.from({ length: count }, (_, at) => askOnce(targets[at % targets.length] ?? { port: 0 }));
  let answered = 0;
  for (const { answer } of clients) void answer.then(() => (answered += 1));
  await Promise.all(clients.map(({ connected }) => connected));
  return {
    get answered() {
      return answered;
    },
    answers: Promise.all(clients.map(({ answer }) => answer)),
    bodies: Promise.all(clients.map(({ body }) => body)),
    [Symbol.dispose]: () => clients.forEach((client) => client[Symbol.dispose]()),
  };
}

/** How often each answer came. */
export function tally(answers: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
}
