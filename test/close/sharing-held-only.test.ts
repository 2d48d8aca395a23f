// A listener whose other holder does not accept: what started the program, and only passed the descriptor down.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, test } from 'node:test';
import { requireLibc } from '../../src/linux/libc.ts';
import { openListener } from '../../src/linux/open-listener.ts';
import { localAddress } from '../../src/linux/sockets.ts';
import { needsPrograms } from '../harness/needs.ts';
import { Program } from '../harness/observed-program.ts';
import { queuedAt } from '../harness/ports.ts';
import { fixture, holdProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { ask, SOON } from './calls-servers.ts';

const CLIENTS = 60;
const SH = ['/bin/sh', '-c', '"$@"; exit $?', 'sh'];
const TINI = '/usr/bin/tini';

for (const { name, above, skip } of [
  { name: 'a shell', above: SH, skip: false },
  { name: 'tini', above: [TINI, '-s', '--'], skip: needsPrograms(TINI) },
]) {
  suite(`a listener that ${name} above the program holds, too, and nobody else`, { skip }, () => {
    const proof = prove(`clients in the queue of a listener that ${name} above the program holds, too`);

    async function stop(order: 'close' | 'plain') {
      const fd = openListener({ family: 'IPv4', address: '127.0.0.1', port: 0 }, 1_024);
      const address = localAddress(fd);
      assert.ok(address !== undefined && address.family !== 'Unix');
      await using closing = new Program(fixture('sharing/share-by-descriptor'), {
        descriptors: [fd],
        below: above,
      });
      const { pid } = await closing.next('listening');
      // From now on only the program holds it, and what is above the program.
      requireLibc().close(fd);
      await holdProcess(pid);
      const clients = Array.from({ length: CLIENTS }, () => ask(address.port));
      await Promise.all(clients.map(({ socket }) => once(socket, 'connect')));
      closing.order(order === 'close' ? `close ${JSON.stringify(SOON)}` : 'plain');
      process.kill(pid, 'SIGCONT');
      const { report } = await closing.next('closed');
      const left = queuedAt(address.port);
      // What is above ends with the program, and closes the listener.
      await closing[Symbol.asyncDispose]();
      return { outcomes: await Promise.all(clients.map(({ answer }) => answer)), report, left };
    }

    test('has its queue served before it closes its own copy', async (t) => {
      const { outcomes, report } = await stop('close');
      assert.deepEqual(new Set(outcomes), new Set(['HTTP/1.1 200 OK']));
      const [listener] = report?.listeners ?? [];
      assert.deepEqual(
        { outcome: report?.outcome, gate: listener?.gate, left: listener?.left },
        { outcome: 'complete', gate: 'shared', left: 0 },
      );
      proof.held(t, { queued: listener?.queued });
    });

    test('control: with a plain close they are left in the queue, and lost when what is above ends', async (t) => {
      const { outcomes, left } = await stop('plain');
      assert.ok(left > 0);
      proof.lost(t, outcomes.filter((outcome) => outcome !== 'HTTP/1.1 200 OK').length);
    });
  });
}
