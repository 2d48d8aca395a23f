import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '../harness/folders.ts';
import { needsPrograms } from '../harness/needs.ts';
import { freePort } from '../harness/ports.ts';
import { startCommand } from '../harness/processes.ts';
import { listensAt } from './listens-at.ts';

const EXAMPLE = fileURLToPath(new URL('../../../examples/systemd/', import.meta.url));
const UNITS = ['lastcall-example.service', 'lastcall-example.socket'];
const ACTIVATE = ['systemd-socket-activate', '--fdname=web', '-l'];

describe('examples/systemd/server.js', () => {
  it('serves on the socket that systemd passes, and closes', {
    skip: needsPrograms('systemd-socket-activate'),
  }, async () => {
    const port = await freePort();
    await servesAndCloses(port, [...ACTIVATE, `127.0.0.1:${port}`, process.execPath, join(EXAMPLE, 'server.js')]);
  });

  it('serves at PORT without systemd, and closes', async () => {
    const port = await freePort();
    await servesAndCloses(port, [process.execPath, join(EXAMPLE, 'server.js')], { PORT: String(port) });
  });

  async function servesAndCloses(port: number, command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
    await using program = startCommand(command, { env });
    await listensAt(port);
    assert.equal(await (await fetch(`http://127.0.0.1:${port}`)).text(), 'hello\n');
    program.signal('SIGTERM');
    const { code, signal, stdout } = await program.ended;
    assert.deepEqual({ code, signal, stdout }, { code: 0, signal: null, stdout: '' });
  }
});

describe('the units of examples/systemd', { skip: needsPrograms('systemd-analyze') }, () => {
  it('have no faults that systemd finds', async () => {
    assert.equal(await faults((unit) => unit), '');
  });

  it('have one with a misspelt setting (control)', async () => {
    const found = await faults((unit) => unit.replace('KillMode', 'KilMode'));
    assert.match(found, /Unknown key name 'KilMode'|Unknown key 'KilMode'/);
  });

  /** What systemd-analyze prints about the units, with the path of an existing Node. */
  async function faults(change: (unit: string) => string): Promise<string> {
    using folder = makeFolder();
    for (const name of UNITS) {
      const unit = readFileSync(join(EXAMPLE, name), 'utf8').replace('/usr/bin/node', process.execPath);
      writeFileSync(join(folder.path, name), change(unit));
    }
    const paths = UNITS.map((name) => join(folder.path, name));
    await using analysis = startCommand(['systemd-analyze', 'verify', ...paths]);
    const { stdout, stderr } = await analysis.ended;
    return stdout + stderr;
  }
});
