import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { LastCallState } from '../../src/index.ts';
import { ProgramMessages } from '../connection/program-messages.ts';
import type { LifeConfig, LifeOrder, LifeTells } from '../fixtures/lifecycle/life-service.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/lifecycle/life-service.js', import.meta.url));
const HOST = '127.0.0.1';

/** What came of a process. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  /** Milliseconds since the first signal, or since the error. */
  readonly after: number;
}

/** What a client got: the status, or the error's code. */
export interface Answered {
  readonly status: number | string;
  readonly connection: string | undefined;
}

/** A service in a process of its own, killed when the test ends. */
export class LifeProcess {
  readonly tells: ProgramMessages<LifeTells>;
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #toldAt = 0;

  constructor(t: TestContext, config: LifeConfig = {}, more: NodeJS.ProcessEnv = {}) {
    // Whatever runs the tests, the program is to find the surroundings of a terminal.
    const { KUBERNETES_SERVICE_HOST: _, NOTIFY_SOCKET: __, ...env } = process.env;
    this.#child = fork(PROGRAM, [JSON.stringify(config)], {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      env: { ...env, ...more },
    });
    this.tells = new ProgramMessages(this.#child);
    this.ended = this.#watchEnd();
    t.after(async () => {
      this.#child.kill('SIGKILL');
      await this.ended;
    });
  }

  signal(name: NodeJS.Signals = 'SIGTERM'): void {
    this.#toldAt ||= performance.now();
    this.#child.kill(name);
  }

  order(order: LifeOrder): void {
    this.#toldAt ||= performance.now();
    this.#child.send(order);
  }

  /** Resolves when the service has come to this state, with the reason. */
  async reaches(state: LastCallState): Promise<string | undefined> {
    for (;;) {
      const told = await this.tells.next('state');
      if (told.state === state) return told.reason;
    }
  }

  /** Asks, and resolves once the program has the request. */
  async begin(path: string, port: number): Promise<{ readonly answer: Promise<Answered> }> {
    const answer = ask(path, port);
    await this.tells.next('asked');
    return { answer };
  }

  async #watchEnd(): Promise<Ended> {
    const stderr = text(this.#child.stderr!);
    const [code, signal] = await once(this.#child, 'close');
    return { code, signal, stderr: await stderr, after: performance.now() - this.#toldAt };
  }
}

/** One request on a connection of its own, that the client would keep. */
export async function ask(path: string, port: number): Promise<Answered> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  try {
    const request = http.get({ host: HOST, port, path, agent });
    const [response]: http.IncomingMessage[] = await once(request, 'response');
    await text(response!);
    return { status: response!.statusCode ?? 0, connection: response!.headers.connection };
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    return { status: code, connection: undefined };
  } finally {
    agent.destroy();
  }
}
