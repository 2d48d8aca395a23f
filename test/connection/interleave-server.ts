import type { ChildProcess } from 'node:child_process';
import type { CloseOptions } from '../../src/index.ts';
import type { Host } from '../lab/lab.ts';
import type { InterleaveOrder, InterleaveTold } from './interleave-messages.ts';
import { fixture } from './programs.ts';

type Kind = InterleaveTold['told'];
type Message<K extends Kind> = Extract<InterleaveTold, { readonly told: K }>;

/** The process with all the small servers, on a host of the lab. It ends with the lab. */
export class InterleaveServers {
  readonly #child: ChildProcess;
  readonly #told: InterleaveTold[] = [];
  readonly #waiting = new Set<() => void>();
  #end: string | undefined;
  #lastPort = 8_000;

  constructor(host: Host) {
    this.#child = host.fork(fixture('connection/interleave-server'));
    this.#child.on('message', (told: InterleaveTold) => {
      this.#told.push(told);
      this.#look();
    });
    this.#child.once('exit', (code, signal) => {
      this.#end = `the servers ended with ${code ?? signal}`;
      this.#look();
    });
  }

  /** Starts another server; resolves with its port once it listens. */
  async listen(): Promise<number> {
    this.#lastPort += 1;
    const port = this.#lastPort;
    this.#order({ order: 'listen', port });
    await this.next('listening', port);
    return port;
  }

  /** Resolves once the close has begun. */
  async beginClose(port: number, how: 'graceful' | 'plain', options: CloseOptions): Promise<void> {
    this.#order({ order: 'close', port, how, options });
    await this.next('closing', port);
  }

  /** Lets go of a server; resolves with the requests that its program has seen. */
  async forget(port: number): Promise<readonly string[]> {
    this.#order({ order: 'forget', port });
    return (await this.next('processed', port)).processed;
  }

  /** The message of this kind about this server. Rejects when the process ends without it. */
  next<K extends Kind>(kind: K, port: number): Promise<Message<K>> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const at = this.#told.findIndex((message) => message.told === kind && message.port === port);
        if (at === -1 && this.#end === undefined) return;
        this.#waiting.delete(look);
        if (at === -1) reject(new Error(`${this.#end} before it told of \`${kind}\``));
        else resolve(this.#told.splice(at, 1)[0] as Message<K>);
      };
      this.#waiting.add(look);
      look();
    });
  }

  #order(order: InterleaveOrder): void {
    this.#child.send(order);
  }

  #look(): void {
    for (const look of this.#waiting) look();
  }
}
