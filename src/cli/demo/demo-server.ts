// The server of `lastcall demo`, in its own process. Arguments: the way to stop, and the port. It sends a message when it
// listens, stops when it gets STOP, sends a message when it has closed, and exits, as most servers do at SIGTERM.
import http from 'node:http';
import { type ServerMessage, STOP, type Way } from './messages.ts';

/** Work for a request, in ms: clients must arrive faster than the program accepts them. */
const WORK_MILLISECONDS = 1.5;
/** In ms; longer than the rest of any storm that has ended. */
const DEADLINE = 10_000;

const [, , way, port] = process.argv;

const server = http.createServer((_request, response) => {
  const until = performance.now() + WORK_MILLISECONDS;
  while (performance.now() < until);
  response.setHeader('Content-Type', 'application/json');
  response.end('{"hello":"world"}\n');
});

server.on('error', (error) => send({ kind: 'failed', message: error.message }, 1));
server.on('listening', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') send({ kind: 'listening', port: address.port });
});
process.on('message', (message) => {
  if (message === STOP) void stop();
});
// Ctrl-C reaches every process of a terminal. The parent decides, and ends this process.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit(1));

// The library loads before the server listens, as in any program, and only for gracefulClose.
const gracefulClose = isGraceful(way) ? (await import('../../index.ts')).gracefulClose : undefined;
server.listen(Number(port), '127.0.0.1');

async function stop(): Promise<void> {
  if (gracefulClose === undefined) server.close(() => send({ kind: 'closed' }, 0));
  else send({ kind: 'closed', report: await gracefulClose(server, { deadline: DEADLINE }) }, 0);
}

function isGraceful(name: string | undefined): boolean {
  const graceful: Way = 'gracefulClose()';
  return name === graceful;
}

function send(message: ServerMessage, exitCode?: number): void {
  process.send?.(message, () => {
    if (exitCode !== undefined) process.exit(exitCode);
  });
}
