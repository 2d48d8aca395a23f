import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** A fixture that talks over its IPC channel, in a process of its own; killed when the test ends. */
export class ForkedProgram<Order extends object> {
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #told: object[] = [];
  readonly #waiting = new Set<() => void>();
  #isOver = false;

  constructor(t: TestContext, name: string, args: readonly string[] = []) {
    const program = fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
    this.#child = fork(program, [...args], { stdio: ['pipe', 'inherit', 'inherit', 'ipc'] });
    this.#child.stdin?.on('error', () => {});
    this.#child.on('message', (message) => {
      if (typeof message !== 'object') return;
      this.#told.push(message);
      this.#wake();
    });
    // 'close' comes after the last message.
    this.ended = once(this.#child, 'close').then(() => {
      this.#isOver = true;
      this.#wake();
    });
    t.after(async () => {
      this.#child.kill('SIGKILL');
      await this.ended;
    });
  }

  /** The next untaken message that has this key, and what is under it. */
  async next<T>(key: string): Promise<T> {
    for (;;) {
      const index = this.#told.findIndex((message) => key in message);
      const [found] = index === -1 ? [] : this.#told.splice(index, 1);
      if (found !== undefined) return Reflect.get(found, key);
      if (this.#isOver) throw new Error(`The fixture ended without telling \`${key}\``);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  order(message: Order): void {
    this.#child.send(message);
  }

  /** Lets a fixture go on that stands still until a byte comes on its standard input. */
  goOn(): void {
    this.#child.stdin?.write('\n');
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
