import type { Messages } from '../../harness/messages.ts';
import { startFixture, type TestProcess } from '../../harness/processes.ts';
import type { Host } from '../../lab/lab.ts';
import type { CloseServerSends, CloseServerSetup, Order, SentOptions, Shut } from './close-server-messages.ts';

/**
 * The gate is the server's own: its message channel alone would have /proc searched, and a busy host is not searched in time. Who
 * is quiet, or has not completed its handshake, has longer than the default: a busy host may take its time before the test lets a
 * client go on.
 */
const OPTIONS: SentOptions = { gate: 'own', idleWait: 20_000 };

/** A user other than root. */
export interface User {
  readonly uid?: number;
  readonly gid?: number;
}

/** The server that a test closes, in a process of its own. It ends with its host. */
export class CloseServer {
  readonly #process: TestProcess<CloseServerSends>;
  readonly next: Messages<CloseServerSends>['next'];

  private constructor(process: TestProcess<CloseServerSends>) {
    this.#process = process;
    this.next = process.next;
  }

  /** Starts the server on a host of the lab; resolves once it listens. */
  static async start(host: Host, setup: CloseServerSetup, user: User = {}): Promise<CloseServer> {
    const args = [JSON.stringify(setup)];
    const server = new CloseServer(startFixture('close/lab-close-server', { host, args, ...user }));
    await server.next('listening');
    return server;
  }

  /**
   * Stops the event loop, lets `scene` happen, and closes the server in that very state. Resolves once the close has begun, and
   * has done all that it does before it first waits.
   */
  async shutAfter<T>(shut: Shut, scene: () => Promise<T>): Promise<T> {
    const order: Order = { shut: { ...shut, options: { ...OPTIONS, ...shut.options } } };
    this.#process.send(order);
    await this.next('standingStill');
    const made = await scene();
    this.goOn();
    await this.next('closing');
    return made;
  }

  /** Lets an event loop that stands still turn again. */
  goOn(): void {
    this.#process.write('x');
  }
}
