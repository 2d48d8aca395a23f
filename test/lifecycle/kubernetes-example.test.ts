import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stopDefaults } from '../../src/lifecycle/options/platform-defaults.ts';
import { freePort } from '../harness/ports.ts';
import { startCommand, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until } from '../harness/wait.ts';
import { listensAt } from './listens-at.ts';
import { askOnce } from './one-request.ts';

const EXAMPLE = fileURLToPath(new URL('../../../examples/kubernetes/', import.meta.url));
/** What the kubelet sets in every container. */
const IN_KUBERNETES = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };
/** How long clients still come after SIGTERM, in ms: proxies do not know yet that the pod stops. */
const RACE = 4_000;
const proof = prove('clients that still come to a pod that stops');

describe('examples/kubernetes at SIGTERM', () => {
  it('serves the clients that still come, answers probes with 503, and exits before the kubelet kills', async (t) => {
    await using pod = await Pod.start(IN_KUBERNETES);
    assert.deepEqual(await pod.probe(), { ready: 200, live: 200 });
    await pod.stop();
    const { answers, probes } = await pod.race(RACE);
    assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
    assert.deepEqual(new Set(probes), new Set(['503 200']));
    assert.equal(await pod.exitCode(), 0);
    const took = performance.now() - pod.stoppedAt;
    const { lameDuckMin, lameDuck } = stopDefaults(IN_KUBERNETES);
    assert.ok(took > lameDuckMin && took < lameDuck, `exit after ${took} ms`);
    proof.held(t, { 'came after the signal': answers.length });
  });

  it('control: without a lame duck refuses them', async (t) => {
    await using pod = await Pod.start({});
    await pod.stop();
    const { answers } = await pod.race(RACE / 4);
    assert.deepEqual(new Set(answers), new Set(['ECONNREFUSED']));
    assert.equal(await pod.exitCode(), 0);
    proof.lost(t, answers.length);
  });

  it('has a grace period that leaves 5 s to the deadline', () => {
    const deployment = readFileSync(join(EXAMPLE, 'deployment.yaml'), 'utf8');
    const [, seconds] = /terminationGracePeriodSeconds: (\d+)/.exec(deployment) ?? [];
    assert.equal(stopDefaults(IN_KUBERNETES).deadline, Number(seconds) * 1_000 - 5_000);
    assert.doesNotMatch(deployment, /lifecycle|preStop:/);
  });
});

interface Race {
  readonly answers: readonly string[];
  readonly probes: readonly string[];
}

/** The example in a separate process, as clients and the kubelet see it. For `await using`. */
class Pod implements AsyncDisposable {
  stoppedAt = 0;
  readonly #program: TestProcess;
  readonly #port: number;
  readonly #probesPort: number;

  private constructor(port: number, probesPort: number, env: NodeJS.ProcessEnv) {
    this.#port = port;
    this.#probesPort = probesPort;
    const ports = { PORT: String(port), PROBES_PORT: String(probesPort) };
    this.#program = startCommand([process.execPath, join(EXAMPLE, 'server.js')], {
      env: { KUBERNETES_SERVICE_HOST: undefined, ...ports, ...env },
    });
  }

  static async start(env: NodeJS.ProcessEnv): Promise<Pod> {
    const [port, probesPort] = [await freePort(), await freePort()];
    const pod = new Pod(port, probesPort, env);
    await Promise.all([listensAt(port), listensAt(probesPort)]);
    return pod;
  }

  /** The statuses that the kubelet gets. */
  async probe(): Promise<{ readonly ready: number; readonly live: number }> {
    return { ready: await this.#statusOf('/ready'), live: await this.#statusOf('/live') };
  }

  /** Resolves when the program has the signal. */
  async stop(): Promise<void> {
    this.stoppedAt = performance.now();
    this.#program.signal('SIGTERM');
    const isReady = async (): Promise<boolean> => (await this.probe().catch(() => undefined))?.ready === 200;
    await until('the pod is not ready', async () => !(await isReady()));
  }

  /** Sends clients with a connection each, and probes, until `milliseconds` after the signal. */
  async race(milliseconds: number): Promise<Race> {
    const answers: string[] = [];
    const probes: string[] = [];
    while (performance.now() - this.stoppedAt < milliseconds || answers.length === 0) {
      answers.push(await askOnce({ port: this.#port, host: '127.0.0.1' }).answer);
      const health = await this.probe().catch(() => undefined);
      if (health !== undefined) probes.push(`${health.ready} ${health.live}`);
      // They are to come over all of that time, not as many as possible.
      await sleep(50);
    }
    return { answers, probes };
  }

  async exitCode(): Promise<number | null> {
    return (await this.#program.ended).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }

  async #statusOf(path: string): Promise<number> {
    return (await fetch(`http://127.0.0.1:${this.#probesPort}${path}`)).status;
  }
}
