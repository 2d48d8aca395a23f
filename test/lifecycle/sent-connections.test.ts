import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { askWhoServes, type Program } from '../harness/observed-program.ts';
import { prove } from '../harness/proof.ts';
import { ENDED_WELL, type ServiceOptions, startService } from '../harness/start-service.ts';
import { holdWorkers } from './cluster-service-driver.ts';
import { connectClients, tally } from './one-request.ts';

const CLIENTS = 20;
const REGISTERED = { registration: '--import' } as const;
const WAYS = [
  { workers: 'workers of a cluster', way: 'cluster', gets: 'primary' },
  // Without their parent they would go on: a signal to the whole group ends them, as the end of a container does.
  { workers: 'children of child_process.fork', way: 'fork', gets: 'group' },
] as const;
const HOW = [
  { how: 'by register', calls: '', options: REGISTERED },
  { how: 'by lastCall', calls: 'all', options: {} },
] as const;

for (const { workers, way, gets } of WAYS) {
  suite(`a request under way in ${workers} that were sent its connection`, () => {
    const proof = prove(`requests under way in ${workers} that were sent their connections`);

    for (const { how, calls, options } of HOW) {
      test(`is answered, ${how}, and the primary ends after that`, async (t) => {
        await using service = await start([way, calls], options);
        const { program } = service;
        const { answer, worker } = await holdOne(service);
        signal(program, gets);
        await program.next('gate');
        process.kill(worker, 'SIGUSR2');
        assert.equal(await answer, String(worker));
        assert.deepEqual(await program.ended, ENDED_WELL);
        const reports = program.history.filter(({ tell, pid }) => tell === 'report' && pid === worker);
        assert.deepEqual(
          reports.map(({ report }) => report?.outcome),
          ['complete'],
        );
        proof.held(t, { 'under way': 1 });
      });
    }

    test('control: without lastcall is reset', async (t) => {
      await using service = await start([way]);
      const { answer } = await holdOne(service);
      signal(service.program, gets);
      assert.equal(await answer, 'ECONNRESET');
      proof.lost(t, 1);
    });
  });

  suite(`clients whose connections are still to be sent to ${workers}`, () => {
    const proof = prove(`clients whose connections are still to be sent to ${workers}`);

    for (const { how, calls, options } of HOW) {
      test(`are served, ${how}`, async (t) => {
        await using service = await start([way, calls], options);
        const { answers, inPrimary } = await stopWhileHeld(service, gets, 'state');
        assert.deepEqual(tally(answers), { 'HTTP/1.1 200 OK': CLIENTS });
        assert.deepEqual(await service.program.ended, ENDED_WELL);
        proof.held(t, { waiting: inPrimary });
      });
    }

    test('control: without lastcall are reset', async (t) => {
      await using service = await start([way]);
      const { answers } = await stopWhileHeld(service, gets, undefined);
      const { 'HTTP/1.1 200 OK': served = 0 } = tally(answers);
      assert.ok(served < CLIENTS, `${served} served`);
      proof.lost(t, CLIENTS - served);
    });
  });
}

test('a worker without lastcall that was sent a connection is left to serve it', async () => {
  await using service = await start(['cluster', 'primary']);
  const { answer, worker } = await holdOne(service);
  signal(service.program, 'primary');
  await service.program.next('gate');
  process.kill(worker, 'SIGUSR2');
  assert.equal(await answer, String(worker));
  assert.deepEqual(await service.program.ended, ENDED_WELL);
});

test('a child without lastcall that still has a connection at the deadline is in the report as a doubt', async () => {
  await using service = await start(['fork', 'primary', '2000']);
  const { program } = service;
  const { worker } = await holdOne(service);
  signal(program, 'primary');
  const { report } = await program.next('report');
  assert.deepEqual(
    { outcome: report?.outcome, doubts: report?.doubts },
    {
      outcome: 'forced',
      doubts: [`process ${worker} was sent connections, and may not have come to their end`],
    },
  );
});

test('a child that a signal ends while connections are sent to it is in the report as a doubt', async () => {
  await using service = await start(['fork', 'primary']);
  const { program, workers } = service;
  const { answers } = await stopWhileHeld(service, 'group', 'gate');
  assert.deepEqual(tally(answers), { ECONNRESET: CLIENTS });
  const { report } = await program.next('report');
  assert.equal(report?.outcome, 'forced');
  assert.deepEqual(
    [...report.doubts].sort(),
    workers.map((worker) => `process ${worker}, which was sent connections, ended with SIGTERM`).sort(),
  );
});

interface Service extends AsyncDisposable {
  readonly program: Program;
  readonly workers: readonly number[];
  readonly port: number;
}

async function start(args: readonly string[], options: ServiceOptions = {}): Promise<Service> {
  const program = startService('lifecycle/sends-connections', { ...options, args, ownGroup: true });
  const workers = [(await program.next('ready')).pid, (await program.next('ready')).pid];
  const { port = 0 } = await program.next('listening');
  // One that was never sent a connection does not serve yet, and a signal has its usual effect there.
  for (const _ of workers) assert.equal(await askWhoServes(port), 'served');
  return { program, workers, port, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

/** A request that a worker has, and does not answer yet. */
async function holdOne({ program, port }: Service): Promise<{ answer: Promise<string>; worker: number }> {
  const answer = askWhoServes(port, '/held');
  const { pid } = await program.next('holds');
  return { answer, worker: pid };
}

function signal({ pid }: Program, gets: 'primary' | 'group'): void {
  process.kill(gets === 'group' ? -pid : pid, 'SIGTERM');
}

/** Connects clients while both workers are held still, so that their connections stay with the primary. */
async function stopWhileHeld(
  { program, workers, port }: Service,
  gets: 'primary' | 'group',
  underWay: string | undefined,
): Promise<{ answers: readonly string[]; inPrimary: number }> {
  using held = await holdWorkers(workers);
  using clients = await connectClients(CLIENTS, { host: '127.0.0.1', port });
  const inPrimary = CLIENTS - clients.answered;
  signal(program, gets);
  if (underWay !== undefined) await program.next(underWay);
  held.goOn();
  return { answers: await clients.answers, inPrimary };
}
