// One test file, in a process and a process group of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const REPORTER = new URL('events.js', import.meta.url).href;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** After this many milliseconds a file is ended, and has failed: it hangs. Full counts take longer. */
const LONGEST = { few: 600_000, full: 900_000 };
/** How long processes of a file may take to end after it, in milliseconds. */
const LONGEST_END = 10_000;

/**
 * @typedef {object} FileResult
 * @property {string} name
 * @property {number} passed
 * @property {readonly { name: string, error: string }[]} failed
 * @property {readonly { name: string, why: string }[]} skipped
 * @property {readonly object[]} proofs what test/harness/proof.ts sent
 * @property {number} duration ms
 */

/**
 * Runs one compiled test file; never rejects. `signal` ends it and all that it has started.
 * @param {string} name its path below test, without `.test.ts`
 * @param {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} options
 * @returns {Promise<FileResult>}
 */
export async function runFile(name, { env, signal }) {
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-run-'));
  const report = join(folder, 'events');
  const start = performance.now();
  const { NODE_TEST_CONTEXT: _, ...variables } = env;
  const program = join(ROOT, 'dist', 'test', `${name}.test.js`);
  const args = [`--test-reporter=${REPORTER}`, `--test-reporter-destination=${report}`, program];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: variables,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output = (output + text).slice(-20_000);
    });
  }
  const kill = () => killGroup(child.pid);
  signal.addEventListener('abort', kill);
  const longest = variables.LASTCALL_FULL === '1' ? LONGEST.full : LONGEST.few;
  let hanging = '';
  const timer = setTimeout(() => {
    hanging = `It did not end in ${longest / 1_000} s. Its processes, and what their threads wait for:\n${describeGroup(child.pid, true)}`;
    kill();
  }, longest);
  const [code, endSignal] = await once(child, 'exit').catch((error) => [error.message, null]);
  clearTimeout(timer);
  const left = await processesLeft(child.pid);
  signal.removeEventListener('abort', kill);
  const result = readEvents(report);
  rmSync(folder, { recursive: true, force: true });
  const failed = result.failed;
  if (hanging !== '') failed.push({ name: result.last, error: hanging });
  else if (left !== '') failed.push({ name: '(its end)', error: `It left processes behind:\n${left}` });
  else if (code !== 0 && failed.length === 0) {
    failed.push({
      name: result.last,
      error: [`The file ended with ${code ?? endSignal}`, ...result.warnings, output].join('\n'),
    });
  }
  for (const one of failed) {
    const unfinished = result.cancelled.filter((test) => test.startsWith(`${one.name} > `));
    if (unfinished.length > 0) one.error += `\nNot finished: ${unfinished.join('; ')}`;
  }
  return { name, ...result, duration: performance.now() - start };
}

/** @param {string} file */
function readEvents(file) {
  const result = {
    passed: 0,
    /** @type {{ name: string, error: string }[]} */
    failed: [],
    /** @type {{ name: string, why: string }[]} */
    skipped: [],
    /** @type {object[]} */
    proofs: [],
    /** @type {string[]} */
    cancelled: [],
    /** @type {string[]} what node:test says of errors after the end of a test */
    warnings: [],
    last: '(its start)',
  };
  for (const text of readLines(file)) {
    const event = JSON.parse(text);
    if (event.start !== undefined) result.last = event.start.join(' > ');
    else if (event.passed !== undefined) result.passed += 1;
    else if (event.failed !== undefined) result.failed.push({ name: event.failed.join(' > '), error: event.error });
    else if (event.cancelled !== undefined) result.cancelled.push(event.cancelled.join(' > '));
    else if (event.skipped !== undefined) result.skipped.push({ name: event.skipped.join(' > '), why: event.why });
    else if (event.diagnostic?.includes('asynchronous activity after the test ended'))
      result.warnings.push(event.diagnostic);
    else if (event.diagnostic?.startsWith('proof ')) result.proofs.push(JSON.parse(event.diagnostic.slice(6)));
  }
  return result;
}

/** The whole lines of a file; the last one may have been cut off with its writer. @param {string} file */
function readLines(file) {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(0, -1);
  } catch {
    return [];
  }
}

/** Waits for the rest of the group; kills and names what does not end by itself. @param {number | undefined} pid */
async function processesLeft(pid) {
  const end = performance.now() + LONGEST_END;
  while (isThere(pid)) {
    if (performance.now() > end) {
      const names = describeGroup(pid);
      killGroup(pid);
      return names;
    }
    await sleep(20);
  }
  return '';
}

/** @param {number | undefined} pid */
function isThere(pid) {
  try {
    return pid !== undefined && process.kill(-pid, 0);
  } catch {
    return false;
  }
}

/** @param {number | undefined} pid */
function killGroup(pid) {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: all of it has ended.
  }
}

/**
 * The command lines of a process group (proc(5), pgrp in stat), and where its threads are, if that is wanted.
 * @param {number | undefined} group
 */
function describeGroup(group, withThreads = false) {
  const names = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [, rest = ''] = /\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1')) ?? [];
      if (Number(rest.split(' ')[2]) !== group) continue;
      names.push(`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`);
      if (withThreads) names.push(...describeThreads(pid));
    } catch {
      // It has gone meanwhile.
    }
  }
  return names.join('\n');
}

/** A line a thread: its name, state, pending signals, and the kernel's function in which it waits. @param {string} pid */
function describeThreads(pid) {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    const wanted = ['Name', 'State', 'SigPnd', 'ShdPnd', 'SigCgt'];
    const facts = wanted.map((name) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '?');
    return `    ${thread} ${facts.join(' ')} ${readFileSync(`/proc/${pid}/task/${thread}/wchan`, 'utf8')}`;
  });
}
