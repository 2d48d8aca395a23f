import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { count } from '../harness/counts.ts';
import type { ChannelCallersConfig, ChannelCallersTell } from '../fixtures/channel/channel-callers.ts';
import type { ChannelServiceConfig } from '../fixtures/channel/channel-service.ts';
import { otherNodes } from '../harness/other-nodes.ts';
import { answered, assertExactlyOnce, callersProgram, hear, serviceProgram, stop } from './called-service.ts';

const CLIENTS = 1_000;
const AT_ONCE = 10;

describe('A service with a channel that is restarted', { timeout: 300_000 }, () => {
  it(`answers ${CLIENTS} clients, ${AT_ONCE} requests at once each, and every request exactly once`, async (t) => {
    const { told, processed, farewells } = await restart(t, 'lastCall', count(20));
    assertExactlyOnce(told, processed);
    // Each time nearly everybody was there, a few may have been on their way, and all who were answered.
    for (const { said, answered } of farewells) {
      assert.ok(said === answered && said >= 0.9 * CLIENTS, `${said} told, ${answered} answered`);
    }
    t.diagnostic(`${farewells.length} restarts, ${told.done.length} requests, each done once`);
  });

  it('loses sight of some where it is closed plainly (control)', async (t) => {
    const { told } = await restart(t, 'close plainly', 1);
    const unknown = told.others.filter(({ said }) => said === 'ERR_OUTCOME_UNKNOWN').length;
    assert.ok(unknown >= CLIENTS, `${unknown} unknown`);
    assert.equal(unknown, told.others.length);
    t.diagnostic(`${unknown} unknown of ${told.done.length + unknown}`);
  });
});

for (const { title, path, missing } of otherNodes) {
  describe(`A service with a channel that is restarted, on ${title}`, { skip: missing, timeout: 60_000 }, () => {
    it('answers every request exactly once', async (t) => {
      const { told, processed } = await restart(t, 'lastCall', 2, { clients: 20, execPath: path });
      assertExactlyOnce(told, processed);
      t.diagnostic(`${told.done.length} requests`);
    });
  });
}

/** One process after the other on the same port, while clients ask. */
async function restart(
  t: TestContext,
  atSigterm: ChannelServiceConfig['atSigterm'],
  times: number,
  { clients = CLIENTS, execPath }: { readonly clients?: number; readonly execPath?: string } = {},
): Promise<{
  readonly told: ChannelCallersTell;
  readonly processed: readonly number[];
  readonly farewells: readonly { readonly said: number; readonly answered: number }[];
}> {
  let service = await start(t, { host: '127.0.0.1', port: 0, takes: 100, atSigterm }, execPath);
  const { port } = service;
  const config: ChannelCallersConfig = {
    address: { host: '127.0.0.1', port },
    clients,
    atOnce: AT_ONCE,
    length: 64,
  };
  const callers = startProgram(t, callersProgram, config, execPath);
  const processed: number[] = [];
  const farewells: { said: number; answered: number }[] = [];
  for (let restarts = 0; restarts < times; restarts++) {
    // Everybody has been answered by this process more than once.
    await answered(callers, 3 * clients * AT_ONCE);
    processed.push(...(await end(service.child, farewells)));
    service = await start(t, { host: '127.0.0.1', port, takes: 100, atSigterm }, execPath);
  }
  const told = await stop(callers);
  processed.push(...(await end(service.child, farewells.slice())));
  return { told, processed, farewells };
}

async function start(
  t: TestContext,
  config: ChannelServiceConfig,
  execPath: string | undefined,
): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = startProgram(t, serviceProgram, config, execPath);
  return { child, port: await hear(child, 'port') };
}

/** Stops it by SIGTERM; returns what it has processed. */
async function end(service: ChildProcess, farewells: { said: number; answered: number }[]): Promise<readonly number[]> {
  const exited = once(service, 'exit');
  const heard = hear(service, 'processed');
  service.on('message', (message: { readonly report?: { readonly connections: { readonly farewells: never } } }) => {
    if (message.report !== undefined) farewells.push(message.report.connections.farewells);
  });
  service.kill('SIGTERM');
  const processed = await heard;
  assert.deepEqual(await exited, [0, null]);
  return processed;
}

function startProgram(
  t: TestContext,
  program: string,
  config: ChannelServiceConfig | ChannelCallersConfig,
  execPath: string = process.execPath,
): ChildProcess {
  const child = fork(program, [JSON.stringify(config)], { execPath });
  t.after(() => child.kill('SIGKILL'));
  return child;
}
