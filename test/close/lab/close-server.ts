import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ForkOptions, Host } from '../../lab/lab.ts';
import type { CloseServerSetup, Shut, Told } from './close-server-messages.ts';

const program = fileURLToPath(new URL('../../fixtures/close/lab-close-server.js', import.meta.url));

type Kind = Told['told'];
type Message<K extends Kind> = Extract<Told, { readonly told: K }>;

/** The server that a test closes, in a process of its own. */
export class CloseServer {
  readonly #child: ChildProcess;
  readonly #told: Told[] = [];
  readonly #waiting = new Set<() => void>();
  #hasExited = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (told: Told) => {
      this.#told.push(told);
      for (const look of this.#waiting) look();
    });
    child.once('exit', () => {
      this.#hasExited = true;
      for (const look of this.#waiting) look();
    });
  }

  /** Starts the server on a host of the lab, or, without one, here; resolves once it listens. */
  static async start(
    host: Host | undefined,
    setup: CloseServerSetup,
    user: Pick<ForkOptions, 'uid' | 'gid'> = {},
  ): Promise<CloseServer> {
    const stdio = ['pipe', 'inherit', 'inherit', 'ipc'] as const;
    const args = [JSON.stringify(setup)];
    const child =
      host === undefined
        ? fork(program, args, { stdio: [...stdio] })
        : host.fork(program, args, { stdio: [...stdio], ...user });
    const server = new CloseServer(child);
    await server.next('listening');
    return server;
  }

  /** The next message of this kind, or one that came while nobody asked. Rejects when the server ends without it. */
  next<K extends Kind>(kind: K): Promise<Message<K>> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const at = this.#told.findIndex(({ told }) => told === kind);
        if (at === -1 && !this.#hasExited) return;
        this.#waiting.delete(look);
        if (at === -1) reject(new Error(`the server ended before it told of \`${kind}\``));
        else resolve(this.#told.splice(at, 1)[0] as Message<K>);
      };
      this.#waiting.add(look);
      look();
    });
  }

  /**
   * Stops the event loop, lets `scene` happen, and closes the server in that very state. Resolves once the close has begun, and
   * has done all that it does before it first waits. The gate is the server's own: its message channel alone would have /proc searched, and a busy host is not searched in time.
   */
  async shutAfter<T>(shut: Shut, scene: () => Promise<T>): Promise<T> {
    this.#child.send({ order: 'shut', ...shut, options: { gate: 'own', ...shut.options } });
    await this.next('standing still');
    const made = await scene();
    this.goOn();
    await this.next('closing');
    return made;
  }

  /** Lets an event loop that stands still turn again. */
  goOn(): void {
    this.#child.stdin?.write('x');
  }

  /** Ends the server as it is. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
