import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStat } from '../../src/linux/process/processes.ts';
import { ENDED_BEFORE } from '../../src/program/stop/lost-answers.ts';
import { stopProgram } from '../../src/program/stop/stop-program.ts';
import { needsPrograms } from '../harness/needs.ts';
import { startCommand } from '../harness/processes.ts';
import { until } from '../harness/wait.ts';

const PYTHON = '/usr/bin/python3';

/** Prints the PID of a child, which it does not wait for, and ends that child if it is told so. */
const PARENT = `
import os, signal, sys, time
child = os.fork()
if child == 0:
    time.sleep(60)
print(child, flush=True)
if sys.argv[1] == 'ends':
    os.kill(child, signal.SIGKILL)
time.sleep(60)
`;

/** A stop of a program that counts as running until it has been signalled, as one does that is just ending. */
async function stopThat(end: 'ends' | 'goes on') {
  await using parent = startCommand([PYTHON, '-c', PARENT, end]);
  const [, printed = ''] = await parent.prints(/^(\d+)$/m);
  const pid = Number(printed);
  if (end === 'ends') await until('the program is a zombie', () => readStat(pid)?.state === 'Z');
  let isSignalled = false;
  const process = {
    pid,
    isRunning: () => !isSignalled,
    signal: (name: string | number) => {
      isSignalled ||= name !== 0;
      return name === 0;
    },
    copyDescriptor: () => {
      throw new Error('there is none');
    },
    close: () => {},
  };
  return stopProgram(
    { process, command: 'a child', cookies: undefined, own: new Map(), leftBehind: () => [], kill: () => {} },
    { reason: 'a test', signal: 'SIGTERM', deadline: 5_000, mayKill: true, now: new AbortController().signal },
  );
}

const skip = needsPrograms(PYTHON);

test('a program whose descriptors had gone before lastcall looked may have had clients', { skip }, async () => {
  const { outcome, doubts } = await stopThat('ends');
  assert.deepEqual({ outcome, doubts }, { outcome: 'forced', doubts: [ENDED_BEFORE] });
});

test('control: one that has been looked at, and has no listener, had none', { skip }, async () => {
  const { outcome, doubts } = await stopThat('goes on');
  assert.deepEqual({ outcome, doubts }, { outcome: 'complete', doubts: [] });
});
