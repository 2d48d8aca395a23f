// What systemd does for a service with a .socket unit: it holds the listening socket, and starts the service when a client
// comes while none runs.
import { AF_INET, SOCK_CLOEXEC, SOCK_STREAM } from '../../src/linux/constants.ts';
import { bindFunction, check, requireLibc } from '../../src/linux/libc.ts';
import { listen, localAddress } from '../../src/linux/sockets.ts';
import { readAcceptQueue } from '../../src/linux/tcp-info.ts';
import { observeFixture, type Program } from '../harness/observed-program.ts';
import { until, within } from '../harness/wait.ts';

const BACKLOG = 511;

/** A service under the activator, from its start to its end. */
export interface Activated {
  readonly program: Program;
  readonly pid: number;
}

/** Passes the socket as `web` to one fixture service after the other. For `await using`. */
export class Activator implements AsyncDisposable {
  readonly port: number;
  /** The service that listens; undefined between two. */
  running: Activated | undefined;
  /** How many have been started. */
  started = 0;
  readonly #fd: number;
  readonly #activating: Promise<void>;
  #isOver = false;
  #failure: unknown;
  #startAt = 1;

  constructor() {
    this.#fd = listenOnLoopback();
    const address = localAddress(this.#fd);
    this.port = address !== undefined && 'port' in address ? address.port : 0;
    this.#activating = this.#activate().catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** Connected clients that no process has accepted. */
  get queued(): number {
    return readAcceptQueue(this.#fd).queued;
  }

  /** From now on starts a service when this many clients wait. systemd does so at the first. */
  startAt(clients: number): void {
    this.#startAt = clients;
  }

  /** Waits until the n-th service listens. */
  async runs(count: number): Promise<Activated> {
    await until(`service ${count} runs`, () => {
      if (this.#failure !== undefined) throw new Error('the activator has failed', { cause: this.#failure });
      return this.started >= count && this.running !== undefined;
    });
    return this.running ?? (await this.runs(count));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.running?.program[Symbol.asyncDispose]();
    await within('the end of the activator', this.#activating);
    requireLibc().close(this.#fd);
  }

  async #activate(): Promise<void> {
    for (;;) {
      await until('clients wait', () => this.#isOver || this.queued >= this.#startAt);
      if (this.#isOver) return;
      await using program = observeFixture('lifecycle/activated-service', {
        args: ['graceful', 'web'],
        descriptors: [this.#fd],
        env: { LISTEN_FDS: '1', LISTEN_FDNAMES: 'web' },
        listenPid: true,
      });
      const { pid } = await program.next('listening');
      this.started += 1;
      this.running = { program, pid };
      await program.ended;
      this.running = undefined;
    }
  }
}

/** A listening socket of a free port, made by system calls, so that this process accepts no clients. */
function listenOnLoopback(): number {
  const fd = check('socket', requireLibc().socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const bind = bindFunction('int bind(int fd, void *address, uint32_t length)');
  // struct sockaddr_in, netinet/in.h: family u16, port u16, address; port 0 is any.
  const address = Buffer.alloc(16);
  address.writeUInt16LE(AF_INET, 0);
  address.set([127, 0, 0, 1], 4);
  check('bind', bind(fd, address, address.length));
  listen(fd, BACKLOG);
  return fd;
}
