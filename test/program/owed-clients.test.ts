// Clients for whose answer a stop from outside has to wait: in a queue that stands still, on a connection that the program reads
// and does not answer yet, and with programs that die of their stop signal.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TCP_ESTABLISHED } from '../../src/linux/constants.ts';
import { dumpConnections } from '../../src/linux/tables/inet-diag.ts';
import type { DataMoved } from '../../src/linux/tcp-info.ts';
import { startLastcallBelow } from '../harness/lastcall-command.ts';
import { needsPrograms, needsRoot } from '../harness/needs.ts';
import { freePort, queuedAt, untilAccepted } from '../harness/ports.ts';
import { holdTree, startCommand, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { until } from '../harness/wait.ts';
import { reportOf } from '../cli/stop-to-the-end.ts';
import { askingClients, outcomesIn, PYTHON } from './asking-clients.ts';
import { runForeign, startForeign } from './foreign-program-driver.ts';
import { hasPending } from './pending-signals.ts';
import { countUnserved, queueClients, tally } from './queued-clients.ts';

const HOST = '127.0.0.1';
const CLIENTS = 10;
const AT_ONCE = ['--queue-wait', '0s'];
/** Longer than anything after which a stop may go on without the clients, in ms. */
const LONG = 1_500;
const WITHOUT_REOPENING = ['setpriv', '--bounding-set', '-net_raw', '--inh-caps', '-net_raw'] as const;

suite('the queue of a program that stands still for longer than a second', () => {
  const proof = prove('clients in a queue that stands still for longer than a second, stopped by lastcall run');

  async function stop(...options: readonly string[]) {
    const target = { port: await freePort(), host: HOST };
    await using running = await runForeign({ listen: [target], atSignal: 'default' }, options);
    const goOn = await holdTree(running.program);
    using clients = await queueClients(CLIENTS, target);
    running.signal('SIGTERM');
    await untilAccepted(target, false);
    if (options.length === 0) {
      // How long a queue stands still is what is tested.
      await sleep(LONG);
      assert.equal(hasPending(running.program, 'SIGTERM'), false);
    } else await untilPending(running.program, running);
    goOn();
    const outcomes = await clients.outcomes;
    return { outcomes, ...(await running.finished) };
  }

  test('is served to the end before the program gets the signal', async (t) => {
    const { outcomes, report } = await stop();
    assert.deepEqual(tally(outcomes), { served: CLIENTS });
    const { outcome, doubts, listeners } = report ?? {};
    assert.deepEqual({ outcome, doubts, left: listeners?.[0]?.left }, { outcome: 'complete', doubts: [], left: 0 });
    proof.held(t, { queued: listeners?.[0]?.queued });
  });

  test('control: with a wait of 0 s its clients are lost, and the report says so', async (t) => {
    const { outcomes, report } = await stop(...AT_ONCE);
    const lost = countUnserved(outcomes);
    // The probes of the gate may be among those left.
    assert.ok(Number(report?.listeners[0]?.left) >= lost);
    assert.equal(report?.outcome, 'forced');
    proof.lost(t, lost);
  });
});

suite('the first requests of connections, of which some came in the clock tick of the handshake', {
  skip: needsPrograms(PYTHON),
}, () => {
  const proof = prove('first requests of connections, some in the clock tick of the handshake');
  const many = 20;

  async function stop(...options: readonly string[]) {
    const target = { port: await freePort(), host: HOST };
    const orders = { listen: [target], atSignal: 'default', answersLate: true };
    await using running = await runForeign(orders, options);
    await using clients = startCommand(askingClients(target.port, many));
    await running.prints(new RegExp(`^request ${many}$`, 'm'));
    const sameTick = movedAt(target.port).filter(({ lastSent, lastReceived }) => lastSent === lastReceived).length;
    assert.ok(sameTick > 0);
    running.signal('SIGTERM');
    await untilAccepted(target, false);
    if (options.length === 0) {
      // The answers take this long: that is what is tested.
      await sleep(LONG);
      process.kill(running.program, 'SIGUSR2');
    }
    const outcomes = outcomesIn((await clients.ended).stdout);
    return { outcomes, sameTick, ...(await running.finished) };
  }

  test('are answered before a program without a handler gets the signal', async (t) => {
    const { outcomes, sameTick, report } = await stop();
    assert.deepEqual(tally(outcomes), { served: many });
    assert.deepEqual(
      { outcome: report?.outcome, doubts: report?.doubts, wereThere: (report?.connections.atStart ?? 0) >= many },
      { outcome: 'complete', doubts: [], wereThere: true },
    );
    proof.held(t, { sameTick });
  });

  test('control: with a wait of 0 s they are lost, and the report counts each as a doubt', async (t) => {
    const { outcomes, report } = await stop(...AT_ONCE);
    const lost = countUnserved(outcomes);
    assert.deepEqual(
      { outcome: report?.outcome, doubts: report?.doubts },
      {
        outcome: 'forced',
        doubts: [`${lost} clients waited for an answer when the program, or a part of it, ended`],
      },
    );
    proof.lost(t, lost);
  });
});

suite('a kept connection', () => {
  const proof = prove('the second request of a kept connection, to a program that dies of its stop signal');

  async function stopDuringSecond(...options: readonly string[]) {
    const target = { port: await freePort(), host: HOST };
    await using running = await runForeign({ listen: [target], atSignal: 'default', answersLate: true }, options);
    using client = await Kept.connect(target);
    assert.equal(await client.ask('/now'), 'served');
    await until('the tick of the first answer is over', () =>
      movedAt(target.port).every(({ lastSent }) => lastSent > 20),
    );
    const second = client.ask('/');
    await running.prints(/^request 1$/m);
    running.signal('SIGTERM');
    await untilAccepted(target, false);
    if (options.length === 0) {
      // The answer takes this long: that is what is tested.
      await sleep(LONG);
      process.kill(running.program, 'SIGUSR2');
    }
    const outcome = await second;
    return { outcome, ...(await running.finished) };
  }

  test('has its second request answered before the signal', async (t) => {
    const { outcome, report } = await stopDuringSecond();
    assert.deepEqual({ outcome, report: report?.outcome }, { outcome: 'served', report: 'complete' });
    proof.held(t, { open: report?.connections.atStart });
  });

  test('control: with a wait of 0 s it is lost, and the report is in doubt', async (t) => {
    const { outcome, report } = await stopDuringSecond(...AT_ONCE);
    assert.deepEqual({ outcome, report: report?.outcome }, { outcome: 'closed', report: 'forced' });
    proof.lost(t, 1);
  });

  test('whose second request may have come in the clock tick of the first answer is a doubt if it is not waited for', async () => {
    const target = { port: await freePort(), host: HOST };
    await using running = await runForeign({ listen: [target], atSignal: 'default', answersLate: true }, AT_ONCE);
    const outcomes = Array.from({ length: 20 }, async () => {
      using client = await Kept.connect(target);
      assert.equal(await client.ask('/now'), 'served');
      return await client.ask('/');
    });
    await running.prints(/^request 20$/m);
    running.signal('SIGTERM');
    assert.deepEqual(tally(await Promise.all(outcomes)), { closed: 20 });
    const { report } = await running.finished;
    const doubted = (report?.doubts ?? []).reduce((sum, doubt) => sum + Number.parseInt(doubt, 10), 0);
    assert.deepEqual({ outcome: report?.outcome, doubted }, { outcome: 'forced', doubted: 20 }, JSON.stringify(report));
  });

  test('on which a client asks again and again does not keep the signal back to the end of the wait', async () => {
    const target = { port: await freePort(), host: HOST };
    const options = ['--deadline', '2m', '--queue-wait', '1m'];
    await using running = await runForeign({ listen: [target], atSignal: 'default', answersLate: true }, options);
    using client = await Kept.connect(target);
    const asking = (async (): Promise<void> => {
      while ((await client.ask('/now')) === 'served');
    })();
    running.signal('SIGTERM');
    const { report } = await running.finished;
    await asking;
    assert.ok(Number(report?.signalled?.after) < 30_000, JSON.stringify(report));
  });
});

suite('where no gate can be shut, because it could not be opened again', { skip: needsRoot }, () => {
  const proof = prove('clients in the queue of a program whose gate lastcall stop may not shut');

  async function stop(...options: readonly string[]) {
    const target = { port: await freePort(), host: HOST };
    await using running = await startForeign({ listen: [target] });
    const goOn = await holdTree(running.pid);
    using clients = await queueClients(CLIENTS, target);
    const line = ['stop', String(running.pid), '--json', ...options];
    await using stopping = startLastcallBelow(WITHOUT_REOPENING, line);
    if (options.length === 0) {
      // The queue stands still for longer than it takes to send a signal.
      await sleep(LONG);
      assert.equal(hasPending(running.pid, 'SIGTERM'), false);
    } else await untilPending(running.pid, stopping);
    const queued = queuedAt(target.port);
    goOn();
    const outcomes = await clients.outcomes;
    return { outcomes, queued, ended: await stopping.ended };
  }

  test('the signal waits for a moment in which the queue is empty, and stderr says what was not possible', async (t) => {
    const { outcomes, queued, ended } = await stop();
    assert.deepEqual(tally(outcomes), { served: CLIENTS });
    const { outcome, listeners } = reportOf(ended);
    const { gate, left } = listeners[0] ?? {};
    assert.deepEqual(
      { code: ended.code, outcome, gate, left },
      { code: 0, outcome: 'complete', gate: 'none', left: 0 },
      ended.stderr,
    );
    assert.match(ended.stderr, /^note: no gate was shut: without CAP_NET_RAW/m);
    proof.held(t, { queued });
  });

  test('control: with a wait of 0 s the queue is lost, which is a doubt, and the exit code is 1', async (t) => {
    const { outcomes, ended } = await stop(...AT_ONCE);
    const { outcome, listeners, doubts } = reportOf(ended);
    assert.deepEqual({ code: ended.code, outcome }, { code: 1, outcome: 'forced' }, ended.stderr);
    assert.ok(Number(listeners[0]?.left) > 0);
    assert.match(doubts.join(), /clients (waited|stayed) in the queue of /);
    proof.lost(t, countUnserved(outcomes));
  });
});

/** Fails at once where `sender` has ended without sending it. */
async function untilPending(pid: number, sender: TestProcess): Promise<void> {
  await until('the signal is sent', () => hasPending(pid, 'SIGTERM') || sender.hasEnded);
  assert.ok(hasPending(pid, 'SIGTERM'), `it ended, and no signal is pending: ${sender.stdout}${sender.stderr}`);
}

/** What moved on the open connections of a port. */
function movedAt(port: number): readonly DataMoved[] {
  const all = dumpConnections(1 << TCP_ESTABLISHED, port);
  return all.flatMap(({ moved }) => (moved === undefined ? [] : [moved]));
}

/** A client that keeps its connection. */
class Kept implements Disposable {
  readonly #socket: net.Socket;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  static async connect(target: net.TcpNetConnectOpts): Promise<Kept> {
    const socket = net.connect(target);
    await once(socket, 'connect');
    socket.on('error', () => {});
    return new Kept(socket);
  }

  /** `served`, or `closed` if the connection was closed before. */
  ask(path: string): Promise<string> {
    if (this.#socket.destroyed) return Promise.resolve('closed');
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: program\r\n\r\n`);
    return new Promise((resolve) => {
      let received = '';
      const onData = (bytes: Buffer): void => {
        received += bytes.toString();
        if (received.endsWith('served')) end('served');
      };
      const onClose = (): void => end('closed');
      const end = (outcome: string): void => {
        this.#socket.off('data', onData).off('close', onClose);
        resolve(outcome);
      };
      this.#socket.on('data', onData).on('close', onClose);
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
