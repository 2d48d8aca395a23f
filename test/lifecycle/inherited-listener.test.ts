import assert from 'node:assert/strict';
import { type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import net from 'node:net';
import { describe, it } from 'node:test';
import { inheritedListener } from '../../src/index.ts';
import { descriptorOf } from '../../src/node/fields.ts';
import { makeCopyWithoutKoffi } from '../harness/copy-without-koffi.ts';
import { socketsInChild } from '../fixtures/lifecycle/sockets-in-child.ts';
import { observeFixture, Program, type ProgramOptions, type Told } from '../harness/observed-program.ts';
import { portOf } from '../harness/ports.ts';
import { Scope } from '../harness/scope.ts';

/** What the fixture sends. */
interface Asked {
  /** A descriptor for each name that it asked for. */
  readonly given: readonly (number | null)[];
  /** Variables that are still in its environment. */
  readonly left: readonly string[];
  readonly warnings: readonly string[];
  /** Sockets that a child of it has. */
  readonly childHas: readonly number[];
}

/** The descriptor of a socket that listens until the scope ends. */
async function listen(
  scope: Scope,
  where: { port: 0; host: string } | { path: string } = { port: 0, host: '127.0.0.1' },
): Promise<number> {
  const server = net.createServer().listen(where);
  scope.defer(() => server.close());
  await once(server, 'listening');
  return descriptorOf(server) ?? -1;
}

/** Runs the fixture, which asks for these names. */
async function ask(names: readonly string[], options: ProgramOptions): Promise<Asked> {
  await using program = observeFixture('lifecycle/inherited-listeners', { listenPid: true, ...options, args: names });
  return asAsked(await program.next('asked'));
}

function asAsked({ facts }: Told): Asked {
  return facts as unknown as Asked;
}

describe('sockets that were passed by LISTEN_FDS', () => {
  it('are returned once each, in their order, without a name', async () => {
    await using scope = new Scope();
    const descriptors = [await listen(scope), await listen(scope)];
    const { given, warnings } = await ask(['-', '-', '-'], { descriptors, env: { LISTEN_FDS: '2' } });
    assert.deepEqual({ given, warnings }, { given: [3, 4, null], warnings: [] });
  });

  it('are returned by their names, and in their order if they share one', async () => {
    await using scope = new Scope();
    const descriptors = [await listen(scope), await listen(scope), await listen(scope), await listen(scope)];
    const env = { LISTEN_FDS: '4', LISTEN_FDNAMES: 'web:admin:web:my socket' };
    const names = ['my socket', 'web', 'nobody', 'web', 'web', '-', '-'];
    const { given, warnings } = await ask(names, { descriptors, env });
    assert.deepEqual(given, [6, 3, null, 5, null, 4, null]);
    // The unit may lack FileDescriptorName=.
    const passed = '`web`, `admin`, `web`, `my socket`';
    assert.deepEqual(warnings, [
      `LastCallWarning: The supervisor has passed ${passed}, but no socket named \`nobody\``,
    ]);
  });

  it('are called unknown if they have no name, or a name is missing', async () => {
    await using scope = new Scope();
    const descriptors = [await listen(scope), await listen(scope), await listen(scope)];
    const unnamed = await ask(['unknown', 'unknown'], { descriptors, env: { LISTEN_FDS: '2' } });
    assert.deepEqual(unnamed.given, [3, 4]);
    const env = { LISTEN_FDS: '3', LISTEN_FDNAMES: ':web' };
    const half = await ask(['web', 'unknown', 'unknown'], { descriptors, env });
    assert.deepEqual(half.given, [4, 3, 5]);
  });

  it('may be Unix sockets', async () => {
    await using scope = new Scope();
    const descriptors = [await listen(scope, { path: `\0lastcall-${process.pid}-inherited` })];
    const { given, warnings } = await ask(['-'], { descriptors, env: { LISTEN_FDS: '1' } });
    assert.deepEqual({ given, warnings }, { given: [3], warnings: [] });
  });

  it('and their variables are not inherited by children after the first call', async () => {
    await using scope = new Scope();
    const descriptors = [await listen(scope), await listen(scope)];
    const env = { LISTEN_FDS: '2', LISTEN_FDNAMES: 'web:admin', LISTEN_PIDFDID: '123' };
    const asked = await ask(['web'], { descriptors, env });
    assert.deepEqual({ left: asked.left, childHas: asked.childHas }, { left: [], childHas: [] });
    const control = await ask([], { descriptors, env });
    assert.deepEqual(control.left.toSorted(), ['LISTEN_FDNAMES', 'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_PIDFDID']);
    const stdio = ['ignore', 'pipe', 'inherit', ...descriptors] satisfies StdioOptions;
    assert.deepEqual(socketsInChild({ stdio }), [3, 4]);
  });

  it('are not used if they are for another process, with a warning that names the remedy', async () => {
    await using scope = new Scope();
    const descriptors = [await listen(scope)];
    for (const env of [{ LISTEN_FDS: '1', LISTEN_PID: '1' }, { LISTEN_FDS: '1' }]) {
      const asked = await ask(['-', '-'], { descriptors, env, listenPid: false });
      assert.deepEqual({ given: asked.given, left: asked.left }, { given: [null, null], left: [] });
      assert.equal(asked.warnings.length, 1);
      assert.match(
        asked.warnings[0]!,
        /^LastCallWarning: The sockets in LISTEN_FDS are not used: LISTEN_PID is (?:1|not set), and this process is \d+\. A shell or npm .*: start `node` directly, or by `exec` in the shell$/,
      );
    }
  });

  it('are not returned if they are not listening stream sockets, with a warning for each', async () => {
    await using scope = new Scope();
    const listening = await listen(scope);
    const file = openSync('/dev/null', 'r');
    scope.defer(() => closeSync(file));
    const server = net.createServer().listen(0, '127.0.0.1');
    scope.defer(() => server.close());
    await once(server, 'listening');
    const client = net.connect(portOf(server), '127.0.0.1');
    scope.defer(() => client.destroy());
    await once(client, 'connect');
    const descriptors = [file, descriptorOf(client) ?? -1, listening];
    const { given, warnings } = await ask(['-', '-'], { descriptors, env: { LISTEN_FDS: '4' } });
    assert.deepEqual(given, [5, null]);
    assert.deepEqual(warnings.slice(0, 2), [
      'LastCallWarning: Descriptor 3 in LISTEN_FDS, `unknown`, is not used: it is not a socket',
      'LastCallWarning: Descriptor 4 in LISTEN_FDS, `unknown`, is not used: it is not a listening stream socket',
    ]);
    assert.equal(warnings.length, 3);
    assert.match(warnings[2]!, /^LastCallWarning: Descriptor 6 in LISTEN_FDS, `unknown`, is not used: /);
  });

  it('are returned without system calls too, as any sockets', async () => {
    await using scope = new Scope();
    const descriptors = [await listen(scope)];
    using copy = makeCopyWithoutKoffi('lifecycle/inherited-listeners');
    await using program = new Program(copy.program, {
      env: { NODE_PATH: '', LISTEN_FDS: '1' },
      listenPid: true,
      descriptors,
      args: ['-'],
    });
    const { given, childHas, warnings } = asAsked(await program.next('asked'));
    assert.deepEqual({ given, childHas, warnings }, { given: [3], childHas: [], warnings: [] });
  });

  for (const LISTEN_FDS of ['', '0', '-1', '1.0', ' 1', '1025', '99999', '100000', '0x1', '18446744073709551616']) {
    it(`do not exist with a LISTEN_FDS of ${JSON.stringify(LISTEN_FDS)}`, async () => {
      await using scope = new Scope();
      const { given, left, warnings } = await ask(['-'], {
        descriptors: [await listen(scope)],
        env: { LISTEN_FDS },
      });
      assert.deepEqual({ given, left, warnings }, { given: [null], left: [], warnings: [] });
    });
  }
});

describe('a process without passed sockets', () => {
  it('gets none, whatever name it gives', () => {
    assert.equal(inheritedListener(), undefined);
    assert.equal(inheritedListener('web'), undefined);
  });

  for (const name of ['', 'a:b', 'é', 'a\nb', 'n'.repeat(256), 3, null, {}]) {
    it(`gets an error for a name that is not possible: ${JSON.stringify(name).slice(0, 12)}`, () => {
      assert.throws(() => Reflect.apply(inheritedListener, undefined, [name]), {
        name: 'LastCallError',
        code: 'ERR_OPTION',
        message: /^Expected `name` to be a socket's name: 1 to 255 characters of ASCII, no colon, got /,
      });
    });
  }
});
