/** A service with a channel, and its clients, in a process each. */
import assert from 'node:assert/strict';
import type {
  ChannelCallersConfig,
  ChannelCallersOrder,
  ChannelCallersResult,
  ChannelCallersSends,
} from '../fixtures/channel/channel-callers.ts';
import type {
  ChannelServiceConfig,
  ChannelServiceOrder,
  ChannelServiceSends,
} from '../fixtures/channel/channel-service.ts';
import { type NodeOptions, startFixture, type TestProcess } from '../harness/processes.ts';
import type { CloseReport } from '../../src/index.ts';

/** The service. For `await using`. */
export class ChannelService implements AsyncDisposable {
  readonly port: number;
  readonly #process: TestProcess<ChannelServiceSends>;

  private constructor(started: TestProcess<ChannelServiceSends>, port: number) {
    this.#process = started;
    this.port = port;
  }

  /** Resolves when it listens. */
  static async start(config: ChannelServiceConfig, options: NodeOptions = {}): Promise<ChannelService> {
    const args = [JSON.stringify(config)];
    const started = startFixture<ChannelServiceSends>('channel/channel-service', { ...options, args });
    try {
      return new ChannelService(started, await started.next('port'));
    } catch (error) {
      await started[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Stops answering, until its close begins. Resolves when `requests` requests are under way. */
  async holdBack(requests: number): Promise<void> {
    this.#order({ holdBack: requests });
    await this.#process.next('heldBack');
  }

  /** Closes. Resolves with the report when it listens again. */
  async close(): Promise<CloseReport> {
    this.#order({ close: 'gracefully' });
    const report = await this.#process.next('report');
    await this.#process.next('port');
    return report;
  }

  /** Closes without regard to the channel. Resolves when it listens again. */
  async closePlainly(): Promise<void> {
    this.#order({ close: 'plainly' });
    await this.#process.next('closedPlainly');
    await this.#process.next('port');
  }

  /** The numbers of the requests that it has processed until now. */
  async countProcessed(): Promise<readonly number[]> {
    this.#order({ processed: true });
    return this.#process.next('processed');
  }

  /** Lets it answer what {@link holdBack} held back. */
  goOn(): void {
    this.#order({ goOn: true });
  }

  /** Stops it with SIGTERM. Resolves with the numbers that it processed, and its report unless it closes plainly. */
  async stop(): Promise<{ readonly processed: readonly number[]; readonly report: CloseReport | undefined }> {
    this.#process.signal('SIGTERM');
    const processed = await this.#process.next('processed');
    const { code, signal, stderr } = await this.#process.ended;
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr);
    const report = await this.#process.next('report').catch(() => undefined);
    return { processed, report };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }

  #order(order: ChannelServiceOrder): void {
    this.#process.send(order);
  }
}

/** Its clients. For `await using`. */
export class ChannelCallers implements AsyncDisposable {
  readonly #process: TestProcess<ChannelCallersSends>;

  constructor(config: ChannelCallersConfig, options: NodeOptions = {}) {
    this.#process = startFixture('channel/channel-callers', { ...options, args: [JSON.stringify(config)] });
  }

  /** Resolves when each client has got `times` more replies. */
  async answered(times: number): Promise<void> {
    this.#order({ answered: times });
    await this.#process.next('answered');
  }

  /** Resolves when all clients together have got `count` more replies. */
  async answers(count: number): Promise<void> {
    this.#order({ answers: count });
    await this.#process.next('answers');
  }

  /** Stops the clients. Resolves with the results of all requests. */
  stop(): Promise<ChannelCallersResult> {
    this.#order({ stop: true });
    return this.#process.next('result');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }

  #order(order: ChannelCallersOrder): void {
    this.#process.send(order);
  }
}

/** Asserts that every request succeeded, and was processed once. */
export function assertExactlyOnce({ done, others }: ChannelCallersResult, processed: readonly number[]): void {
  assert.deepEqual(others, []);
  assert.equal(new Set(processed).size, processed.length, 'some were processed twice');
  assert.deepEqual(
    done.toSorted((one, other) => one - other),
    processed.toSorted((one, other) => one - other),
  );
}
