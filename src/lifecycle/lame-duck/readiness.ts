import http from 'node:http';
import { gracefulClose } from '../../servers/graceful-close.ts';
import { isClusterWorker } from '../../listener/origin.ts';
import type { ReadinessAddress } from '../options/options.ts';
import { excludeFromServices } from '../service-servers.ts';
import { warn } from '../warn.ts';
import type { LastCallState } from '../state.ts';
import { noteHealthCheck } from './health-checks.ts';

/** What a probe asks for. */
interface ServiceHealth {
  readonly ready: boolean;
  readonly state: LastCallState;
}

/**
 * Answers probes: 200 while the service is ready, else 503. A path that ends in `/live` always gets 200, since a service that
 * stops is alive. May be mounted at any path.
 */
export function answerProbes(service: ServiceHealth): http.RequestListener {
  return (request, response) => {
    noteHealthCheck(request.socket);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD', 'Content-Type': 'text/plain' }).end('GET or HEAD\n');
      return;
    }
    const { ready, state } = service;
    const words = state === 'serving' ? (ready ? 'ready' : 'starting') : state;
    const status = ready || pathOf(request).endsWith('/live') ? 200 : 503;
    response.writeHead(status, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' }).end(`${words}\n`);
  };
}

/** How long the close of the readiness server may take, in ms. */
const CLOSE_WITHIN = 200;

/**
 * A separate server for probes, at `/ready` and `/live`, from the start of the program to the end of its stop. It does not keep
 * the process alive. If it cannot listen it emits 'error', as any server does. In a cluster only the primary starts it.
 */
export class ReadinessServer {
  readonly #server: http.Server | undefined;

  /** `isOptional`: the code of the program did not ask for it, so a failure to listen is only a warning. */
  constructor(address: ReadinessAddress | undefined, answer: http.RequestListener, isOptional: boolean) {
    if (address === undefined || isClusterWorker()) return;
    this.#server = http.createServer((request, response) => {
      const path = pathOf(request);
      if (path === '/ready' || path === '/live') answer(request, response);
      else response.writeHead(404, { 'Content-Type': 'text/plain' }).end('/ready or /live\n');
    });
    excludeFromServices(this.#server);
    this.#server.on('connection', (socket) => socket.unref());
    if (isOptional) this.#server.on('error', ({ message }) => warn(`the readiness server cannot listen: ${message}`));
    this.#server.listen({ ...address }).unref();
  }

  /** Takes at most `most` ms. */
  async close(most: number): Promise<void> {
    if (this.#server === undefined) return;
    const deadline = Math.min(CLOSE_WITHIN, most);
    await gracefulClose(this.#server, { gate: 'own', deadline, idleWait: 0, lingerWait: 0 });
  }
}

function pathOf(request: http.IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}
