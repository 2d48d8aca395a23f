import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FINDING_IDS } from '../../src/program/doctor/finding.ts';
import { startLastcall } from '../harness/lastcall-command.ts';
import type { Ended } from '../harness/processes.ts';
import { Loopback } from '../linux/loopback.ts';

const MANUAL = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');

async function lastcall(...args: readonly string[]): Promise<Ended> {
  await using running = startLastcall(args);
  return await running.ended;
}

/** The rows of the tables below a heading. */
function rowsUnder(heading: string): readonly (readonly string[])[] {
  const section = MANUAL.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| --'))
    .slice(1)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

for (const command of ['run', 'stop', 'watch', 'doctor']) {
  test(`docs/cli.md names the options of lastcall ${command}, with their values and defaults`, async () => {
    const { code, stdout } = await lastcall(command, '--help');
    assert.equal(code, 0);
    const said = [...stdout.matchAll(/^ {2}(--[\w-]+(?: <\w+>)?)/gm)].map(([, option]) => option);
    const documented = rowsUnder(`lastcall ${command}`).map(([option = '']) => option.replaceAll('`', ''));
    assert.deepEqual(new Set(documented), new Set(said));
    for (const [option = '', value = ''] of rowsUnder(`lastcall ${command}`)) {
      const [, words = ''] =
        new RegExp(`^ {2}${option.replaceAll('`', '')} (.*(?:\\n {4}.*)*)`, 'm').exec(stdout) ?? [];
      const [, shown = ''] = /\(default:\s+"?(\w+)"?\)/.exec(words) ?? [];
      if (/^`(\d+s|SIG\w+)`$/.test(value)) assert.equal(`\`${shown}\``, value, option);
    }
  });
}

const ERRORS: readonly { readonly args: readonly string[]; readonly says: RegExp; readonly code: number }[] = [
  { args: ['run', '--', 'no-such-command-anywhere'], says: /^lastcall: \S+: there is no such command$/, code: 127 },
  { args: ['run', '--', '/etc/passwd'], says: /^lastcall: \S+: it cannot be run \(EACCES\)$/, code: 126 },
  { args: ['run', '--deadline', '5', '--', 'true'], says: /Expected a duration such as/, code: 2 },
  {
    args: ['run', '--signal', 'SIGNONE', '--', 'true'],
    says: /Expected the name or the number of a signal, /,
    code: 2,
  },
  {
    args: ['run', '--listen', 'http:80', '--', 'true'],
    says: /Expected tcp:8080, tcp:127\.0\.0\.1:8080, tcp:\[::1\]:8080 or unix:\/run\/app\.sock\./,
    code: 2,
  },
  { args: ['stop', '1'], says: /Process 1 is PID 1: it is not stopped/, code: 2 },
  { args: ['stop', String(process.pid)], says: /is an ancestor of this command: it is not stopped/, code: 2 },
  { args: ['stop', '999999999'], says: /There is no process 999999999/, code: 2 },
  { args: ['stop', '/no/such.sock'], says: /Nobody listens on \S+ in this network namespace/, code: 2 },
  {
    args: ['stop', 'nginx'],
    says: /Expected a process \(12345\), a port \(:8080, .*\) or a Unix path \(\/run\/app\.sock\), got /,
    code: 2,
  },
  { args: ['run', '--report', '/no/such/r.json', '--', 'true'], says: /Cannot write the report to \/no/, code: 2 },
  { args: ['stop', '--report', '/proc', '999999999'], says: /Cannot write the report to \/proc/, code: 2 },
  { args: ['watch', '999999999'], says: /There is no process 999999999/, code: 2 },
  { args: ['watch', 'nginx'], says: /Expected a process \(12345\), a port \(:8080, .*\) or a Unix path/, code: 2 },
  ...['stop', 'watch', 'doctor'].map((command) => ({
    args: [command, ':99999'],
    says: /^lastcall: Expected a port of at most 65535, got `:99999`$/,
    code: 2,
  })),
  { args: ['watch', '--interval', '50ms'], says: /Expected an --interval of at least 100ms/, code: 2 },
  { args: ['doctor', '999999999'], says: /There is no process 999999999/, code: 2 },
  { args: ['doctor', '/no/such.sock'], says: /Nobody listens on \S+ in this network namespace/, code: 2 },
];

for (const { args, says, code } of ERRORS) {
  test(`lastcall ${args.join(' ').replace(String(process.pid), 'PARENT')} ends with ${code}, as docs/cli.md says`, async () => {
    const { code: ended, stderr } = await lastcall(...args);
    assert.equal(ended, code, stderr);
    const [line = ''] = stderr.split('\n').filter((text) => says.test(text));
    assert.notEqual(line, '', stderr);
    const row = rowsUnder('Errors').find(([message = '']) =>
      message.split('`').some((quoted) => quoted.length > 1 && isSaidBy(line, quoted)),
    );
    assert.ok(row?.[1] === String(code), `no row for: ${line}`);
  });
}

/** An ellipsis stands for any text. */
function isSaidBy(line: string, quoted: string): boolean {
  const parts = quoted.split('…').map((part) => part.trim());
  let at = 0;
  return parts.every((part) => {
    const found = line.indexOf(part, at);
    at = found + part.length;
    return found !== -1;
  });
}

test('an address that is in use ends run with 2, as docs/cli.md says', async () => {
  await using loopback = new Loopback();
  const { port } = await loopback.startListener();
  const { code, stderr } = await lastcall('run', '--listen', `tcp:127.0.0.1:${port}`, '--', 'true');
  assert.equal(code, 2);
  assert.match(stderr, new RegExp(`Cannot listen on 127.0.0.1:${port}: bind: EADDRINUSE`));
  assert.match(MANUAL, /Cannot listen on …: bind: EADDRINUSE/);
});

test('a port that only the caller holds is not stopped', async () => {
  await using loopback = new Loopback();
  const { port } = await loopback.startListener();
  const { code, stderr } = await lastcall('stop', `:${port}`);
  assert.equal(code, 2);
  assert.match(stderr, new RegExp(`:${port} is held by process ${process.pid} .*only: it is not stopped`));
  assert.match(MANUAL, /… is held by process … only: it is not stopped/);
});

test('docs/cli.md has a row for each finding of lastcall doctor, and no other', async () => {
  const documented = rowsUnder('What doctor looks at').map(([id = '']) => id.replaceAll('`', ''));
  assert.deepEqual(documented, [...FINDING_IDS]);
});

test('--version is the package’s, and the help names every command', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  assert.equal((await lastcall('--version')).stdout.trim(), version);
  const { stdout } = await lastcall('--help');
  for (const command of ['run', 'stop', 'watch', 'doctor', 'demo'])
    assert.match(stdout, new RegExp(`^  ${command} `, 'm'));
});
