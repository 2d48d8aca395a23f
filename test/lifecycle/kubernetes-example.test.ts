import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stopDefaults } from '../../src/lifecycle/surroundings.ts';
import { ask } from '../close/calls-servers.ts';
import { freePort } from '../proxies/proxy.ts';
import { listensAt } from './listens-at.ts';

const EXAMPLE = fileURLToPath(new URL('../../../examples/kubernetes/', import.meta.url));
/** What the kubelet sets in every container. */
const IN_KUBERNETES = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };
/** So long clients still come after SIGTERM, since proxies have not heard that the pod goes; in milliseconds. */
const RACE = 4_000;

describe('examples/kubernetes, told to stop', () => {
  it('serves the clients that still come, says that it is not ready, and exits before the kubelet kills', async (t) => {
    const pod = await start(t, IN_KUBERNETES);
    assert.deepEqual(await pod.probe(), { ready: 200, live: 200 });
    pod.stop();
    const { answers, probes } = await pod.race();
    assert.deepEqual(new Set(answers), new Set(['HTTP/1.1 200 OK']));
    assert.deepEqual(new Set(probes), new Set(['503 200']));
    assert.equal(await pod.ended, 0);
    const took = performance.now() - pod.stoppedAt();
    const { lameDuckMin, lameDuck } = stopDefaults(IN_KUBERNETES);
    assert.ok(took > lameDuckMin && took < lameDuck, `exit after ${took} ms`);
    t.diagnostic(`${answers.length} clients came within ${RACE} ms and were served; exit after ${Math.round(took)} ms`);
  });

  it('control: without a lame duck refuses them', async (t) => {
    const pod = await start(t, {});
    pod.stop();
    const { answers } = await pod.race();
    assert.deepEqual(new Set(answers), new Set(['ECONNREFUSED']));
    assert.equal(await pod.ended, 0);
  });

  it('has a grace period that leaves 5 s to the deadline', () => {
    const deployment = readFileSync(join(EXAMPLE, 'deployment.yaml'), 'utf8');
    const [, seconds] = /terminationGracePeriodSeconds: (\d+)/.exec(deployment) ?? [];
    assert.equal(stopDefaults(IN_KUBERNETES).deadline, Number(seconds) * 1_000 - 5_000);
    assert.doesNotMatch(deployment, /lifecycle|preStop:/);
  });
});

interface Pod {
  stop(): void;
  stoppedAt(): number;
  /** The statuses that the kubelet gets. */
  probe(): Promise<{ readonly ready: number; readonly live: number }>;
  /** Clients, each with a connection of its own, and probes as long as proxies have not heard. */
  race(): Promise<{ readonly answers: readonly string[]; readonly probes: readonly string[] }>;
  /** The exit code, or the signal. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

async function start(t: TestContext, env: NodeJS.ProcessEnv): Promise<Pod> {
  const [port, probesPort] = [await freePort(), await freePort()];
  const { KUBERNETES_SERVICE_HOST: _, ...outside } = process.env;
  const program = spawn(process.execPath, [join(EXAMPLE, 'server.js')], {
    stdio: 'inherit',
    env: { ...outside, PORT: String(port), PROBES_PORT: String(probesPort), ...env },
  });
  t.after(() => program.kill('SIGKILL'));
  let stoppedAt = 0;
  await Promise.all([listensAt(port), listensAt(probesPort)]);
  const statusOf = async (path: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${probesPort}${path}`)).status;
  const probe = async (): ReturnType<Pod['probe']> => ({
    ready: await statusOf('/ready'),
    live: await statusOf('/live'),
  });
  return {
    probe,
    stop: () => {
      stoppedAt = performance.now();
      program.kill('SIGTERM');
    },
    stoppedAt: () => stoppedAt,
    race: async () => {
      const answers: string[] = [];
      const probes: string[] = [];
      // The signal is on its way; whoever comes before it has been heard shows nothing.
      while ((await probe().catch(() => undefined))?.ready === 200);
      while (performance.now() - stoppedAt < RACE) {
        answers.push(await ask(port).answer);
        const health = await probe().catch(() => undefined);
        if (health !== undefined) probes.push(`${health.ready} ${health.live}`);
        await sleep(50);
      }
      return { answers, probes };
    },
    ended: once(program, 'exit').then(([code, signal]) => code ?? signal),
  };
}
