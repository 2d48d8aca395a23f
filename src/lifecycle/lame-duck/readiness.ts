import http from 'node:http';
import { gracefulClose } from '../../servers/graceful-close.ts';
import { isClusterWorker } from '../../listener/origin.ts';
import { noteHealthCheck } from './health-checks.ts';
import type { ReadinessAddress } from '../options.ts';
import { markAuxiliary } from '../service-servers.ts';

/** What a probe may ask about a service. */
export interface ServiceHealth {
  readonly ready: boolean;
  /** For people: why, or why not. */
  readonly words: string;
}

/**
 * Answers probes: 200 while the service is ready, 503 while it is not; 200 in any case to whoever asks for a path that ends
 * in `/live`, since a service that stops is alive. May be mounted at any path.
 */
export function answerProbes(health: () => ServiceHealth): http.RequestListener {
  return (request, response) => {
    noteHealthCheck(request.socket);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD', 'Content-Type': 'text/plain' }).end('GET or HEAD\n');
      return;
    }
    const { ready, words } = health();
    const status = ready || pathOf(request).endsWith('/live') ? 200 : 503;
    response.writeHead(status, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' }).end(`${words}\n`);
  };
}

/** What the server for probes gets for its end, in milliseconds. */
const CLOSE_IN = 200;

/**
 * A server of its own for probes, at `/ready` and `/live`, from the start of the program to the end of its stop. It does not
 * keep the process alive. Where it cannot listen it emits 'error', as any server does. Of a cluster the primary has it.
 */
export class ReadinessServer {
  readonly #server: http.Server | undefined;

  /** `isOptional`: nobody here has asked for it by name, so that it cannot listen is no error of the program's. */
  constructor(address: ReadinessAddress | undefined, answer: http.RequestListener, isOptional: boolean) {
    if (address === undefined || isClusterWorker()) return;
    this.#server = http.createServer((request, response) => {
      const path = pathOf(request);
      if (path === '/ready' || path === '/live') answer(request, response);
      else response.writeHead(404, { 'Content-Type': 'text/plain' }).end('/ready or /live\n');
    });
    markAuxiliary(this.#server);
    this.#server.on('connection', (socket) => socket.unref());
    if (isOptional) this.#server.on('error', warnOf);
    this.#server.listen({ ...address }).unref();
  }

  /** In so many milliseconds at most. */
  async close(most: number): Promise<void> {
    if (this.#server === undefined) return;
    const deadline = Math.min(CLOSE_IN, most);
    await gracefulClose(this.#server, { gate: 'own', deadline, idleWait: 0, lingerWait: 0 });
  }
}

function warnOf({ message }: Error): void {
  process.emitWarning(`nobody answers probes of this process: ${message}`, 'LastCallWarning');
}

function pathOf(request: http.IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}
