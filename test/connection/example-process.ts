import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CloseReport } from '../../src/index.ts';
import { startCommand, type TestProcess } from '../harness/processes.ts';
import { within } from '../harness/wait.ts';

/** What an example prints when it has closed: the report, and counts of its own. */
export interface ExampleClosed extends Readonly<Record<string, unknown>> {
  readonly report: CloseReport;
}

/** Starts examples/<name>/server.js as its user would. */
export function startExample(name: string, env: Readonly<Record<string, string>> = {}): ExampleProcess {
  return new ExampleProcess(name, env);
}

/** A server of examples/ that prints where it listens and how it closed. For `await using`. */
export class ExampleProcess implements AsyncDisposable {
  /** When it listens. */
  readonly port: Promise<number>;
  readonly ended: TestProcess['ended'];
  readonly #process: TestProcess;

  constructor(name: string, env: Readonly<Record<string, string>>) {
    const program = fileURLToPath(new URL(`../../../examples/${name}/server.js`, import.meta.url));
    this.#process = startCommand([process.execPath, path.resolve(program)], { env: { PORT: '0', ...env } });
    this.ended = this.#process.ended;
    this.port = this.#process.prints(/^listening on (\d+)$/m).then(([, port]) => Number(port));
    // Who does not ask for it need not hear that it never came.
    this.port.catch(() => {});
  }

  /** Stops it (SIGSTOP): the kernel goes on to take in what clients send, the program does not see it. */
  hold(): Promise<void> {
    return this.#process.hold();
  }

  /** Lets it go on (SIGCONT). */
  goOn(): void {
    this.#process.goOn();
  }

  /** Sends SIGTERM. Resolves when it has ended by itself, with what it printed. */
  async close(): Promise<ExampleClosed> {
    this.#process.signal('SIGTERM');
    const { code, signal, stdout, stderr } = await within('the end of the example', this.ended);
    const [, closed] = /^closed (.*)$/m.exec(stdout) ?? [];
    if (code !== 0 || closed === undefined) throw new Error(`ended by ${code ?? signal}: ${stdout}${stderr}`);
    return JSON.parse(closed);
  }

  /** The control: ends it as SIGTERM ends a process that does not handle it. */
  kill(): void {
    this.#process.signal('SIGKILL');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}
