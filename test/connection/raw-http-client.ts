import net from 'node:net';
import { once } from 'node:events';
import { within } from '../harness/wait.ts';

/** A client that sends the bytes that a test gives it, and keeps what comes, and how it ends. For `using`. */
export class RawHttpClient implements Disposable {
  readonly socket: net.Socket;
  /** `EOF`, or the error's code. */
  readonly ended: Promise<string>;
  #text = '';
  #error = '';
  readonly #waiting = new Set<() => void>();

  private constructor(port: number) {
    this.socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.setEncoding('latin1').on('data', (text: string) => {
      this.#text += text;
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      this.socket.once('error', (error: NodeJS.ErrnoException) => {
        this.#error = error.code ?? error.message;
        resolve(this.#error);
      });
      this.socket.once('end', () => resolve('EOF'));
    });
    void this.ended.then(() => this.#wake());
  }

  static async connect(port: number): Promise<RawHttpClient> {
    const client = new RawHttpClient(port);
    await once(client.socket, 'connect');
    return client;
  }

  get text(): string {
    return this.#text;
  }

  /** The whole responses that have come, as their bodies and their word on the connection. Bodies have no chunks here. */
  get responses(): readonly { readonly body: string; readonly close: boolean }[] {
    return this.#text
      .split(/(?=HTTP\/1\.1 200 OK\r\n)/)
      .filter((part) => part.startsWith('HTTP/1.1 200'))
      .map((part) => {
        const [head = '', body = ''] = part.split('\r\n\r\n', 2);
        return { body, close: /^connection: close$/im.test(head) };
      });
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Ends its side as soon as the server has ended its own. */
  endAfterServer(): void {
    this.socket.once('end', () => this.socket.end());
  }

  /** Resolves once what has come matches. */
  async heard(pattern: RegExp): Promise<void> {
    await within(`an answer that matches ${pattern}`, this.#heard(pattern));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  async #heard(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.#text)) {
      if (this.#error !== '' || this.socket.readableEnded) throw new Error(`ended after ${JSON.stringify(this.#text)}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** A GET that keeps its connection. */
export function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
}
