import { chmodSync, cpSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { count } from '../harness/counts.ts';
import { makeFolder } from '../harness/folders.ts';
import { needsRoot } from '../harness/needs.ts';
import { prove } from '../harness/proof.ts';
import { checkNobodyLost, checkReset, stopHere } from './storm-stops.ts';

suite('a server without privileges', { skip: needsRoot }, () => {
  const copy = needsRoot === false ? copyForEverybody() : undefined;
  after(() => copy?.remove());
  const asNobody = { uid: 65_534, gid: 65_534 };
  const proof = prove('300 clients of a server without privileges');

  test('as uid 65534 with no capabilities nobody is lost, by gate refuse', async (t) => {
    for (let stop = 1; stop <= count(20); stop++) {
      checkNobodyLost(t, proof, await stopHere('graceful', 300, asNobody, copy?.server));
    }
  });

  test('control: as uid 65534 a plain close resets clients', async (t) => {
    checkReset(t, proof, await stopHere('plain', 300, asNobody, copy?.server));
  });
});

/** The built program and the FFI where every user may read them, whatever the checkout's own rights. */
function copyForEverybody(): { server: string; remove: () => void } {
  const folder = makeFolder();
  chmodSync(folder.path, 0o755);
  const built = fileURLToPath(new URL('../..', import.meta.url));
  for (const part of ['src', 'test/fixtures', 'test/harness'])
    cpSync(join(built, part), join(folder.path, 'dist', part), { recursive: true });
  const koffi = dirname(fileURLToPath(import.meta.resolve('koffi')));
  for (const name of ['koffi', '@koromix']) {
    cpSync(join(dirname(koffi), name), join(folder.path, 'node_modules', name), { recursive: true });
  }
  cpSync(join(built, '..', 'package.json'), join(folder.path, 'package.json'));
  return {
    server: join(folder.path, 'dist/test/fixtures/storm/storm-server.js'),
    remove: () => folder[Symbol.dispose](),
  };
}
