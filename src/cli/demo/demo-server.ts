// The server of `lastcall demo`, a process of its own: arguments are the way to stop and the port. It says over the
// channel that it listens, is told to stop, says that it has closed, and exits, as most servers do at a SIGTERM.
import http from 'node:http';
import { type ServerMessage, STOP, type Way } from './messages.ts';

/** ms of work for a request, so that clients arrive faster than the program accepts them. */
const WORK_MILLISECONDS = 1.5;
/** ms; more than any storm that is over can leave to do. */
const DEADLINE = 10_000;

const [, , way, port] = process.argv;

const server = http.createServer((_request, response) => {
  const until = performance.now() + WORK_MILLISECONDS;
  while (performance.now() < until);
  response.setHeader('Content-Type', 'application/json');
  response.end('{"hello":"world"}\n');
});

server.on('error', (error) => tell({ kind: 'failed', message: error.message }, 1));
server.on('listening', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') tell({ kind: 'listening', port: address.port });
});
process.on('message', (message) => {
  if (message === STOP) void stop();
});
// Ctrl-C reaches every process of a terminal; the parent decides, and takes this one with it.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit(1));

// The library is loaded before the server listens, as it would be anywhere, and not at all where it is not used.
const gracefulClose = isGraceful(way) ? (await import('../../index.ts')).gracefulClose : undefined;
server.listen(Number(port), '127.0.0.1');

async function stop(): Promise<void> {
  if (gracefulClose === undefined) server.close(() => tell({ kind: 'closed' }, 0));
  else tell({ kind: 'closed', report: await gracefulClose(server, { deadline: DEADLINE }) }, 0);
}

function isGraceful(name: string | undefined): boolean {
  const graceful: Way = 'gracefulClose()';
  return name === graceful;
}

function tell(message: ServerMessage, exitCode?: number): void {
  process.send?.(message, () => {
    if (exitCode !== undefined) process.exit(exitCode);
  });
}
