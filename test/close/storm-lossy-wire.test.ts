import { after, before, suite, test } from 'node:test';
import { count } from '../harness/counts.ts';
import { needsPrograms } from '../harness/needs.ts';
import { startCommand } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { type Lab, labMissing, openLab } from '../lab/lab.ts';
import { checkHalfOpen, checkLost, checkNobodyLost, stopInLab, stopOverTheWire } from './storm-stops.ts';

const LOSS = 0.05;

suite('a server over the wire, 25 ms one way, that loses 5 % of the packets each way', { skip: labMissing }, () => {
  const proof = prove('300 clients over 25 ms one way, with 5 % loss each way');

  test('300 clients: nobody is lost in any stop', async (t) => {
    for (let stop = 1; stop <= count(20, 1); stop++) {
      const stopped = await stopOverTheWire('graceful', LOSS, stop);
      checkNobodyLost(t, proof, stopped);
      checkHalfOpen(stopped);
    }
  });

  test('control: a plain close loses clients', async (t) => {
    checkLost(t, proof, await stopOverTheWire('plain', LOSS, 1));
  });
});

// Linux remembers the round trip to each host: after a loss a new connection may begin with a time-out of some seconds.
suite('the same between hosts that remember earlier losses', { skip: labMissing || needsPrograms('ip') }, () => {
  const proof = prove('300 clients on a host that remembers losses, with 5 % loss each way');
  let lab: Lab;

  before(async () => {
    lab = await openLab({ delay: 25, loss: LOSS, seed: 1 });
    checkHalfOpen(await stopInLab(lab, 'graceful'));
  });
  after(() => lab.close());

  test('300 clients: nobody is lost in any stop', async (t) => {
    for (let stop = 1; stop <= count(20, 2); stop++) {
      const remembered = await rememberedRoundTrip(lab);
      const stopped = await stopInLab(lab, 'graceful');
      t.diagnostic(`remembered a round trip of ${remembered} ms; the stop took ${stopped.report?.duration} ms`);
      checkNobodyLost(t, proof, stopped);
      checkHalfOpen(stopped);
    }
  });

  test('control: a plain close loses clients', async (t) => {
    checkLost(t, proof, await stopInLab(lab, 'plain'));
  });
});

/** What the client's host remembers of the path to the server, in ms. */
async function rememberedRoundTrip({ client, server }: Lab): Promise<number> {
  await using ip = startCommand(['ip', 'tcp_metrics', 'show', server.ipv4], { host: client });
  const { stdout } = await ip.ended;
  const [, microseconds] = /\brtt (\d+)us/.exec(stdout) ?? [];
  if (microseconds === undefined) throw new Error(`The client's host remembers nothing: ${stdout}`);
  return Number(microseconds) / 1_000;
}
