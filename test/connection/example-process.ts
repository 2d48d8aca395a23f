import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { CloseReport } from '../../src/index.ts';

/** What an example prints when it has closed: the report, and counts of its own. */
export interface ExampleClosed extends Readonly<Record<string, unknown>> {
  readonly report: CloseReport;
}

/** A server of examples/, run as its user would; killed when the test ends. */
export class ExampleProcess {
  /** When it listens. */
  readonly port: Promise<number>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  readonly #child: ChildProcess;
  readonly #closed: Promise<ExampleClosed>;

  constructor(t: TestContext, name: string, env: Readonly<Record<string, string>> = {}) {
    const program = fileURLToPath(new URL(`../../../examples/${name}/server.js`, import.meta.url));
    this.#child = spawn(process.execPath, [path.resolve(program)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, PORT: '0', ...env },
    });
    this.ended = once(this.#child, 'close').then(([code, signal]) => ({ code, signal }));
    const lines = createInterface({ input: this.#child.stdout! });
    const said = (start: string): Promise<string> =>
      new Promise((resolve, reject) => {
        lines.on('line', (line) => line.startsWith(start) && resolve(line.slice(start.length)));
        void this.ended.then(() => reject(new Error(`${name} ended without saying \`${start}\``)));
      });
    this.port = said('listening on ').then(Number);
    this.#closed = said('closed ').then((json) => JSON.parse(json));
    // Who does not ask for it need not hear that it never came.
    this.#closed.catch(() => {});
    t.after(async () => {
      this.kill();
      await this.ended;
    });
  }

  /** Sends SIGTERM. Resolves when it has ended by itself, with what it printed. */
  async close(): Promise<ExampleClosed> {
    this.#child.kill('SIGTERM');
    const closed = await this.#closed;
    const { code, signal } = await this.ended;
    if (code !== 0) throw new Error(`ended by ${code ?? signal}`);
    return closed;
  }

  /** The control: ends it as SIGTERM ends a process that does not handle it. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
