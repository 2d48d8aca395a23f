import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { within } from '../harness/wait.ts';
import { type Answer, type HostFacts, Lines, type Message, type Request } from './control.ts';
import type { PacketSeen } from './rule.ts';

export interface RuleWatcher {
  readonly onPacket: (packet: PacketSeen) => void;
  readonly onEnd: (reason: Error) => void;
}

export interface ReadyHosts {
  readonly client: HostFacts;
  readonly server: HostFacts;
}

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: Error) => void;
}

export const wireProgram: string = fileURLToPath(new URL('./wire-process.js', import.meta.url));

/** The conversation with a wire process. When that ends, everything that waits for it is rejected with the reason. */
export class WireControl {
  readonly #input: Writable;
  readonly #asked = new Map<number, Waiting<Answer>>();
  readonly #watchers = new Map<number, RuleWatcher>();
  readonly #exited: Promise<void>;
  #starting: Waiting<ReadyHosts> | undefined;
  #closing = false;
  #ended: Error | undefined;
  #numbered = 0;

  /** The wire process's id. */
  readonly pid: number;
  /** Both hosts, once they are made; rejects where the rights or the device for it are missing. */
  readonly ready: Promise<ReadyHosts>;

  constructor() {
    const wire = spawn(process.execPath, [wireProgram], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#input = wire.stdin;
    this.pid = wire.pid ?? 0;
    this.ready = new Promise((resolve, reject) => {
      this.#starting = { resolve, reject };
    });
    this.#exited = new Promise((resolve) => {
      wire.once('error', (cause) => this.#end(new Error('the wire process did not start', { cause })));
      wire.once('close', (code, signal) => {
        this.#end(new Error(this.#closing ? 'the lab was closed' : `the wire process ended with ${signal ?? code}`));
        resolve();
      });
    });
    // A write that finds the process gone says nothing that its end does not.
    this.#input.on('error', () => undefined);
    this.#listen(wire.stdout);
  }

  ask(request: Request): Promise<Answer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const number = ++this.#numbered;
    this.#input.write(`${JSON.stringify({ ...request, number })}\n`);
    const answer = new Promise<Answer>((resolve, reject) => this.#asked.set(number, { resolve, reject }));
    return within(`the wire's answer to \`${request.ask}\``, answer);
  }

  /** Passes on what the rule of this id acts on, and the reason for which it ends. */
  watch(id: number, watcher: RuleWatcher): void {
    if (this.#ended === undefined) this.#watchers.set(id, watcher);
    else watcher.onEnd(this.#ended);
  }

  /** Lets the wire process end, which takes everything in the namespaces with it. Resolves when it has. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#input.end();
    await this.#exited;
  }

  #listen(output: Readable): void {
    const lines = new Lines();
    output.on('data', (bytes: Buffer) => {
      for (const line of lines.of(bytes)) this.#hear(JSON.parse(line));
    });
  }

  #hear(message: Message): void {
    switch (message.tell) {
      case 'ready':
        return this.#starting?.resolve(message);
      case 'impossible':
        return this.#starting?.reject(new Error(message.reason));
      case 'answer':
        return this.#takeAsked(message.number)?.resolve(message.answer);
      case 'refusal':
        return this.#takeAsked(message.number)?.reject(new Error(message.reason));
      case 'acted':
        return this.#watchers.get(message.id)?.onPacket(message.packet);
    }
  }

  #takeAsked(number: number): Waiting<Answer> | undefined {
    const asked = this.#asked.get(number);
    this.#asked.delete(number);
    return asked;
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#starting?.reject(this.#ended);
    for (const { reject } of this.#asked.values()) reject(this.#ended);
    for (const { onEnd } of this.#watchers.values()) onEnd(this.#ended);
    this.#asked.clear();
    this.#watchers.clear();
  }
}
