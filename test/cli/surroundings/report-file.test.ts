// Where --report writes, and where it does not.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { checkReportFile, writeReport } from '../../../src/cli/write-report.ts';
import { makeFolder } from '../../harness/folders.ts';
import { MAIN, startLastcall } from '../../harness/lastcall-command.ts';
import { needsPrograms } from '../../harness/needs.ts';
import { startCommand } from '../../harness/processes.ts';

const REPORT = { outcome: 'complete' };
const WRITTEN = `${JSON.stringify(REPORT, null, 2)}\n`;
/** A program that asks for its own stop. */
const ASKS = ['sh', '-c', 'kill -s TERM $PPID; exec sleep 600'];

suite('a report', () => {
  test('replaces a symbolic link, and does not write through it', () => {
    using folder = makeFolder();
    const [file, victim] = [join(folder.path, 'report.json'), join(folder.path, 'victim')];
    writeFileSync(victim, 'kept');
    symlinkSync(victim, file);
    writeReport(REPORT, file);
    assert.deepEqual(
      { victim: readFileSync(victim, 'utf8'), isLink: lstatSync(file).isSymbolicLink() },
      { victim: 'kept', isLink: false },
    );
    assert.equal(readFileSync(file, 'utf8'), WRITTEN);
  });

  test('is not written through a link with the name that an earlier version wrote to first', () => {
    using folder = makeFolder();
    const [file, victim] = [join(folder.path, 'report.json'), join(folder.path, 'victim')];
    writeFileSync(victim, 'kept');
    symlinkSync(victim, `${file}.${process.pid}.tmp`);
    writeReport(REPORT, file);
    assert.deepEqual(
      { victim: readFileSync(victim, 'utf8'), file: readFileSync(file, 'utf8') },
      { victim: 'kept', file: WRITTEN },
    );
  });

  test('leaves no other file behind', () => {
    using folder = makeFolder();
    writeReport(REPORT, join(folder.path, 'report.json'));
    assert.deepEqual(readdirSync(folder.path), ['report.json']);
  });

  test('in /dev/shm is replaced whole, like any other file', () => {
    const folder = mkdtempSync('/dev/shm/lastcall-test-');
    try {
      const [file, before] = [join(folder, 'report.json'), join(folder, 'before')];
      writeFileSync(file, 'the report before');
      linkSync(file, before);
      checkReportFile(file);
      writeReport(REPORT, file);
      assert.deepEqual(
        { before: readFileSync(before, 'utf8'), file: readFileSync(file, 'utf8') },
        { before: 'the report before', file: WRITTEN },
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('to a folder is an error at once, with code 2', async () => {
    using folder = makeFolder();
    await using running = startLastcall(['run', '--report', folder.path, '--', 'true']);
    const { code, stderr } = await running.ended;
    assert.equal(code, 2);
    assert.match(stderr, /Cannot write the report to \S+: it is a directory/);
  });
});

test('--report /dev/stdout writes to the output, also if that is a socket', async () => {
  // A pipe of Node's is a pair of sockets: nobody can open it again by its path.
  await using running = startLastcall(['run', '--report', '/dev/stdout', '--', ...ASKS]);
  const { stdout, stderr } = await running.ended;
  assert.equal(JSON.parse(stdout).reason, 'SIGTERM', stderr);
});

test('--report /dev/stdout keeps what is in the file already', async () => {
  using folder = makeFolder();
  const file = join(folder.path, 'log');
  const script = 'file=$1; shift; { echo before; "$@"; } >"$file"';
  const line = [process.execPath, MAIN, 'run', '--report', '/dev/stdout', '--', ...ASKS];
  await using running = startCommand(['sh', '-c', script, 'sh', file, ...line]);
  await running.ended;
  assert.match(readFileSync(file, 'utf8'), /^before\n\{/);
});

test('a named pipe that nobody reads is an error of the report alone, and the stop ends', {
  skip: needsPrograms('mkfifo'),
}, async () => {
  using folder = makeFolder();
  const pipe = join(folder.path, 'pipe');
  spawnSync('sh', ['-c', 'mkfifo "$1"', 'sh', pipe]);
  await using running = startLastcall(['run', '--report', pipe, '--', ...ASKS]);
  const { code, stderr } = await running.ended;
  assert.equal(code, 143);
  assert.match(stderr, /Cannot write the report to \S+: ENXIO/);
  assert.equal(lstatSync(pipe).isFIFO(), true);
});
