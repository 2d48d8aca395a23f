import { createClient } from 'redis';
import { until } from '../harness/wait.ts';

/** What became of the commands of a load. */
export interface RedisTally {
  /** Commands that had their right answer. */
  readonly answered: number;
  /** What the others had instead. */
  readonly failed: readonly string[];
  /** Callers whose counter began anew, once, without a number left out or given twice before: they had moved. */
  readonly moved: number;
}

/** A load of commands on many connections of the real client, some at a time on each, without a pause. For `using`. */
export class RedisLoad implements Disposable {
  answered = 0;
  readonly failed: string[] = [];
  moved = 0;
  readonly #clients: ReturnType<typeof connectTo>[] = [];
  readonly #running: Promise<void>[] = [];
  #isStopped = false;

  async start(port: number, clients: number, atATime: number): Promise<void> {
    await Promise.all(
      Array.from({ length: clients }, async (_, index) => {
        const client = connectTo(port);
        client.on('error', () => {});
        this.#clients.push(client);
        await client.connect();
        for (let caller = 0; caller < atATime; caller += 1) this.#running.push(this.#run(client, `${index}:${caller}`));
      }),
    );
  }

  /** Resolves when so many more have been answered. */
  async answeredMore(commands: number): Promise<void> {
    const wanted = this.answered + commands;
    await until(`${commands} more commands are answered`, () => this.answered >= wanted);
  }

  /** Resolves when so many have failed. */
  async failing(commands: number): Promise<void> {
    await until(`${commands} commands have failed`, () => this.failed.length >= commands);
  }

  /** Does not wait for those under way, which may wait for a server that never comes. */
  [Symbol.dispose](): void {
    this.#isStopped = true;
    for (const client of this.#clients) if (client.isOpen) client.destroy();
  }

  async stop(): Promise<RedisTally> {
    this.#isStopped = true;
    await Promise.all(this.#running);
    for (const client of this.#clients) client.destroy();
    return { answered: this.answered, failed: this.failed, moved: this.moved };
  }

  async #run(client: ReturnType<typeof connectTo>, key: string): Promise<void> {
    let last = 0;
    let moves = 0;
    for (let round = 1; !this.#isStopped; round += 1) {
      const text = `${key} in round ${round}`;
      await this.#expect(client.set(key, text), text, 'OK');
      await this.#expect(client.echo(text), text, text);
      await this.#expect(client.ping(), 'PING', 'PONG');
      const number = await this.#answerTo(client.incr(`${key}:number`));
      if (number === 1 && last > 0) moves += 1;
      else if (number !== last + 1) this.failed.push(`INCR: ${String(number)} after ${last}`);
      last = Number(number);
    }
    if (moves === 1) this.moved += 1;
    else if (moves > 1) this.failed.push(`moved ${moves} times`);
  }

  async #expect(command: Promise<unknown>, name: string, expected: string): Promise<void> {
    const answer = await this.#answerTo(command);
    if (answer !== undefined && answer !== expected) this.failed.push(`${name}: ${JSON.stringify(answer)}`);
  }

  /** Undefined where it failed, and that is noted. */
  async #answerTo(command: Promise<unknown>): Promise<unknown> {
    try {
      const answer = await command;
      this.answered += 1;
      return answer;
    } catch (error) {
      this.failed.push(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }
}

function connectTo(port: number) {
  return createClient({ socket: { host: '127.0.0.1', port } });
}
