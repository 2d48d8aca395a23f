import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort, missing } from '../proxies/proxy.ts';
import { listensAt } from './listens-at.ts';

const EXAMPLE = fileURLToPath(new URL('../../../examples/systemd/', import.meta.url));
const UNITS = ['lastcall-example.service', 'lastcall-example.socket'];
const ACTIVATE = ['systemd-socket-activate', '--fdname=web', '-l'];

describe('examples/systemd/server.js', () => {
  it('serves on the socket that systemd passes, and closes', {
    skip: missing('systemd-socket-activate'),
  }, async (t) => {
    const port = await freePort();
    await servesAndCloses(t, port, [...ACTIVATE, `127.0.0.1:${port}`, process.execPath, join(EXAMPLE, 'server.js')]);
  });

  it('serves at PORT without systemd, and closes', async (t) => {
    const port = await freePort();
    await servesAndCloses(t, port, [process.execPath, join(EXAMPLE, 'server.js')], { PORT: String(port) });
  });

  async function servesAndCloses(
    t: TestContext,
    port: number,
    [command = '', ...args]: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<void> {
    const program = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, ...env },
    });
    t.after(() => program.kill('SIGKILL'));
    const said = text(program.stdout);
    const ended = once(program, 'exit');
    await listensAt(port);
    assert.equal(await (await fetch(`http://127.0.0.1:${port}`)).text(), 'hello\n');
    program.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
    assert.equal(await said, '');
  }
});

describe('the units of examples/systemd', { skip: missing('systemd-analyze') }, () => {
  it('have nothing that systemd would find fault with', async (t) => {
    assert.equal(await faults(t, (unit) => unit), '');
  });

  it('would be found fault with for a misspelt setting (control)', async (t) => {
    const found = await faults(t, (unit) => unit.replace('KillMode', 'KilMode'));
    assert.match(found, /Unknown key name 'KilMode'|Unknown key 'KilMode'/);
  });

  /** What systemd-analyze says of the units, with a Node that is there. */
  async function faults(t: TestContext, change: (unit: string) => string): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'lastcall-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    for (const name of UNITS) {
      const unit = readFileSync(join(EXAMPLE, name), 'utf8').replace('/usr/bin/node', process.execPath);
      writeFileSync(join(folder, name), change(unit));
    }
    const paths = UNITS.map((name) => join(folder, name));
    const { stdout, stderr } = await promisify(execFile)('systemd-analyze', ['verify', ...paths], { timeout: 30_000 });
    return stdout + stderr;
  }
});
