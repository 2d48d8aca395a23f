import net from 'node:net';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { within } from '../harness/wait.ts';

/** A client that says lines and reads lines. For `using`. */
export class LineClient implements Disposable {
  readonly socket: net.Socket;
  /** How the connection has ended: `the end` of the stream, or an error's code. */
  readonly ended: Promise<string>;
  readonly #lines: AsyncIterator<string>;

  /** With `staysOpen` it does not end its side when the server has ended its own. */
  constructor(port: number, { staysOpen = false }: { readonly staysOpen?: boolean } = {}) {
    this.socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: staysOpen });
    // A reset ends the lines, and is no error of theirs.
    const text = new PassThrough();
    this.socket.pipe(text);
    this.socket.on('close', () => text.end());
    this.#lines = createInterface({ input: text })[Symbol.asyncIterator]();
    this.ended = new Promise((resolve) => {
      this.socket.on('end', () => resolve('the end'));
      this.socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
  }

  /** Says a line and returns the next one; undefined at the end of the stream. */
  async ask(line: string): Promise<string | undefined> {
    this.socket.write(`${line}\n`);
    return this.next();
  }

  async next(): Promise<string | undefined> {
    const { value, done } = await within('the next line', this.#lines.next());
    return done === true ? undefined : value;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
