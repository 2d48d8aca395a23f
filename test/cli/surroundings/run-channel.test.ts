// The pipe by which register tells `lastcall run` that it has a service: who may write what, and who sees it.
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { parseRunMessages, parseRunPipe } from '../../../src/run-channel.ts';
import { makeFolder } from '../../harness/folders.ts';
import { startLastcall } from '../../harness/lastcall-command.ts';
import { startCommand } from '../../harness/processes.ts';

const REGISTER = pathToFileURL(createRequire(import.meta.url).resolve('lastcall/register')).href;
const SERVE_ONCE = `require('node:net').createServer().listen(0, '127.0.0.1', () => process.exit(0));`;

/** Whether run takes the program for one that stops itself, after a shell has written this into the pipe. */
async function isInsideAfter(written: string): Promise<boolean> {
  using folder = makeFolder();
  const file = join(folder.path, 'report.json');
  const script = `printf '${written}' >"\${RUN_BY_LASTCALL% *}"; kill -s TERM $PPID; exec sleep 600`;
  await using running = startLastcall(['run', '--inside', '--report', file, '--', 'sh', '-c', script]);
  await running.ended;
  const { notes }: { readonly notes: readonly string[] } = JSON.parse(readFileSync(file, 'utf8'));
  return notes.includes('it stops itself, from inside (lastcall/register)');
}

test('only whole lines of the right words count', async () => {
  const inside = [];
  for (const written of [
    'service\\n',
    'services\\n',
    'service',
    ' service\\n',
    'x\\nservice\\n',
    'service\\nthread\\n',
  ])
    inside.push([written, await isInsideAfter(written)]);
  assert.deepEqual(inside, [
    ['service\\n', true],
    ['services\\n', false],
    ['service', false],
    [' service\\n', false],
    ['x\\nservice\\n', true],
    ['service\\nthread\\n', false],
  ]);
});

test('a pipe is named by a descriptor, or by a path below /proc, and by its inode', () => {
  assert.deepEqual(parseRunPipe('3 77'), { at: 3, inode: 77 });
  assert.deepEqual(parseRunPipe('/proc/12/fd/21 77'), { at: '/proc/12/fd/21', inode: 77 });
  for (const text of [
    undefined,
    '',
    '3',
    '3 x',
    '-1 77',
    '/etc/passwd 77',
    '/proc/1/../2/fd/3 77',
    '/proc/self/fd/3 77',
  ])
    assert.equal(parseRunPipe(text), undefined, text);
  assert.deepEqual(parseRunMessages('service\ncomplete\nforced\n\nanything\n'), ['service', 'complete', 'forced']);
});

test('register writes nothing into a file that is not the pipe', async () => {
  using folder = makeFolder();
  const file = join(folder.path, 'log');
  const fd = openSync(file, 'w');
  try {
    const line = [process.execPath, `--import=${REGISTER}`, '-e', SERVE_ONCE];
    const env = { RUN_BY_LASTCALL: '3 77' };
    await using running = startCommand(line, { env, stdio: ['ignore', 'pipe', 'pipe', fd] });
    const { code, stderr } = await running.ended;
    assert.deepEqual({ code, stderr, written: readFileSync(file, 'utf8') }, { code: 0, stderr: '', written: '' });
  } finally {
    closeSync(fd);
  }
});

test('a child of the program has neither the variable nor the descriptor', async () => {
  const look = 'echo "variable ${RUN_BY_LASTCALL-none}"; for fd in /proc/self/fd/*; do readlink "$fd"; done';
  const show = `console.log('own', require('node:fs').readlinkSync('/proc/self/fd/3'));
    require('node:child_process').spawnSync('sh', ['-c', process.argv[1]], { stdio: ['ignore', 'inherit', 'inherit'] });`;
  await using running = startLastcall(['run', '--', process.execPath, '-e', show, look]);
  const { stdout, stderr } = await running.ended;
  const [, pipe = '', child = ''] = /^own (pipe:.*)\nvariable none\n([^]*)$/.exec(stdout) ?? [];
  assert.notEqual(pipe, '', `${stdout}${stderr}`);
  assert.ok(!child.split('\n').includes(pipe), stdout);
});
