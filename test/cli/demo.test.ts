import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const QUICK = ['--clients', '100', '--stops', '1'];

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function lastcall(...args: string[]): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, ...args], (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}

describe('lastcall', () => {
  it('shows its help and its commands', async () => {
    const { code, stdout } = await lastcall('--help');
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: lastcall/);
    assert.match(stdout, /\n {2}demo /);
  });

  it('shows its version', async () => {
    const { code, stdout } = await lastcall('--version');
    assert.equal(code, 0);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it('ends without a word when nobody reads any more', async () => {
    const child = spawn(process.execPath, [MAIN, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    const output = collect(child);
    const [code] = await once(child, 'close');
    assert.deepEqual([code, output.stderr], [141, '']);
  });

  it('says that its result cannot be written', {
    skip: existsSync('/dev/full') ? false : 'no /dev/full here',
  }, async () => {
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [MAIN, '--help'], { stdio: ['ignore', full, 'pipe'] });
    closeSync(full);
    const output = collect(child);
    const [code] = await once(child, 'close');
    assert.equal(code, 2);
    assert.match(output.stderr, /^lastcall: cannot write the result: .*ENOSPC/);
  });

  it('says what is wrong with a command that it does not know', async () => {
    const { code, stdout, stderr } = await lastcall('dmeo');
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /unknown command 'dmeo'/);
  });
});

describe('lastcall demo', () => {
  it('shows its options and its exit codes', async () => {
    const { code, stdout } = await lastcall('demo', '--help');
    assert.equal(code, 0);
    for (const word of ['--clients', '--stops', '--port', '--json', 'Exit code']) assert(stdout.includes(word), word);
  });

  for (const [args, message] of [
    [['--clients', 'x'], /'--clients <number>' argument 'x' is invalid. Expected a whole number from 1 to 2000/],
    [['--stops', '0'], /Expected a whole number from 1 to 20/],
    [['--port', '65536'], /Expected a whole number from 0 to 65535/],
    [['--colour'], /unknown option '--colour'/],
    [['more'], /too many arguments/],
  ] as const) {
    it(`says what is wrong with ${args.join(' ')}`, async () => {
      const { code, stdout, stderr } = await lastcall('demo', ...args);
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.match(stderr, message);
    });
  }

  it('says that its port is taken', async (t) => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const address = server.address();
    assert(address !== null && typeof address === 'object');
    const { code, stdout, stderr } = await lastcall('demo', '--port', String(address.port));
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /^lastcall: The server could not start: listen EADDRINUSE/m);
  });

  it('shows that the plain close loses clients and lastcall nobody, to a program', async () => {
    const { code, stdout, stderr } = await lastcall('demo', '--json', ...QUICK);
    const result: unknown = JSON.parse(stdout);
    assert.equal(code, 0, stdout);
    assert(isResult(result));
    const [plain, graceful] = result.ways;
    assert(plain && graceful);
    assert.equal(result.clients, 100);
    assert.equal(result.verdict.ok, true);
    assert.equal(plain.way, 'server.close()');
    assert.equal(graceful.way, 'gracefulClose()');
    assert.equal(graceful.lost, 0);
    assert.equal(plain.lost, plain.counts.reset);
    assert(plain.lost > 0);
    for (const { counts, stops } of result.ways) {
      assert.equal(counts.refused, 100, 'each client leaves when it is refused');
      assert(counts.served >= 1_000);
      assert.equal(stops.length, 1);
    }
    const report = graceful.stops[0]?.report;
    assert.equal(report?.outcome, 'complete');
    assert(
      report.listeners.some(({ queued }) => queued > 0),
      'clients were queued when the gate shut',
    );
    assert.equal(stderr, 'server.close(), stop 1 of 1\ngracefulClose(), stop 1 of 1\n');
  });

  it('shows the same to a person', async () => {
    const { code, stdout } = await lastcall('demo', ...QUICK);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /served +refused +RESET +cut +EOF +no answer +lost\n/);
    assert.match(stdout, /gracefulClose\(\) +[\d,]+ +100 +0 +0 +0 +0 +0\n/);
    assert.match(stdout, /gate \w+; \d+ queued and \d+ half-open when it shut;\n +listener closed after [\d,]+ ms; /);
    assert.match(stdout, /\nThe plain close lost \d+ clients? in 1 stop; lastcall lost nobody\.\n/);
    for (const line of stdout.split('\n')) assert(line.length <= 90, `too wide: ${line}`);
    assert(!stdout.includes('\x1b'), 'no colour where it is not a terminal');
  });

  it('has no verdict without the control: a single client is never queued behind another', async () => {
    const { code, stdout } = await lastcall('demo', '--json', '--clients', '1', '--stops', '1');
    const result: unknown = JSON.parse(stdout);
    assert(isResult(result));
    const plain = result.ways[0]?.lost ?? 0;
    assert.equal(code, plain > 0 ? 0 : 1);
    if (plain === 0) assert.match(stdout, /No verdict: the plain close lost nobody either/);
  });

  for (const [signal, expected] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`ends at a ${signal} with ${expected}, without a word, and leaves no server behind`, async () => {
      const child = spawn(process.execPath, [MAIN, 'demo', ...QUICK], { stdio: ['ignore', 'pipe', 'pipe'] });
      const output = collect(child);
      const server = await childOf(child);
      child.kill(signal);
      const [code] = await once(child, 'close');
      assert.equal(code, expected);
      assert.deepEqual(output, { stdout: '', stderr: 'server.close(), stop 1 of 1\n' });
      assert.throws(() => process.kill(server, 0), { code: 'ESRCH' });
    });
  }
});

interface Result {
  readonly clients: number;
  readonly verdict: { readonly ok: boolean };
  readonly ways: readonly {
    readonly way: string;
    readonly lost: number;
    readonly counts: Readonly<Record<string, number>> & { readonly served: number };
    readonly stops: readonly {
      readonly report?: { readonly outcome: string; readonly listeners: readonly { readonly queued: number }[] };
    }[];
  }[];
}

function isResult(value: unknown): value is Result {
  return typeof value === 'object' && value !== null && 'ways' in value && 'verdict' in value && 'clients' in value;
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    output.stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    output.stderr += chunk;
  });
  return output;
}

/** The pid of the demonstration's server. */
async function childOf(parent: ChildProcess): Promise<number> {
  for (;;) {
    const found = readdirSync('/proc').find((name) => /^\d+$/.test(name) && isServerOf(name, parent.pid));
    if (found !== undefined) return Number(found);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function isServerOf(pid: string, parent: number | undefined): boolean {
  try {
    // The parent's pid is the second field after the name in brackets.
    const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(/\) (?=[^)]*$)/);
    return (
      Number(fields.split(' ')[1]) === parent && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('demo-server')
    );
  } catch {
    return false;
  }
}
