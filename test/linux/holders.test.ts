import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { findHolders, type HolderSearch, Search } from '../../src/linux/process/holders.ts';
import { startCat } from './cat.ts';
import { Loopback } from './loopback.ts';
import { needsRoot } from '../harness/needs.ts';
import { startCommand } from '../harness/processes.ts';
import { runChild } from './run-child.ts';

const ENOUGH = { limit: 60_000, onlyOurs: false };

test('a child that inherited the socket holds it; others do not', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  await using _ = await startCat();
  assert.deepEqual(findHolders(inodeOf(fd), ENOUGH).holders, []);
  await using heir = await startCat(fd);
  const search = findHolders(inodeOf(fd), ENOUGH);
  assert.deepEqual({ holders: search.holders, finished: search.finished }, { holders: [heir.pid], finished: true });
  heir.signal('SIGTERM');
  await heir.ended;
  assert.deepEqual(findHolders(inodeOf(fd), ENOUGH).holders, []);
});

test('a search without time is not finished', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  const { holders, finished } = findHolders(inodeOf(fd), { ...ENOUGH, limit: 0 });
  assert.deepEqual({ holders, finished }, { holders: [], finished: false });
});

test('the processes of another user are unreadable to user nobody', { skip: needsRoot }, async () => {
  const search = (await runChild('holders-as-nobody')) as HolderSearch;
  assert.equal(search.finished, true);
  assert(search.suspects.includes(process.pid));
});

test('a child that has ended and was not waited for is no suspect, although it cannot be inspected', {
  skip: needsRoot,
}, async () => {
  assert.deepEqual(await runChild('zombie-as-nobody'), { unreadable: 'EACCES', isSuspect: false });
});

test('a process that is older than this one, or no descendant, is no suspect in a search among ours', {
  skip: needsRoot,
}, async () => {
  const { all, ours } = (await runChild('suspects-as-nobody')) as Record<'all' | 'ours', HolderSearch>;
  assert(all.suspects.includes(process.pid));
  assert.deepEqual(ours.suspects, []);
});

test('a search in small pieces of time comes to its end', async (t) => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  await using heir = await startCat(fd);
  const search = new Search([inodeOf(fd)], { onlyOurs: true });
  let pieces = 0;
  for (; !search.finished; pieces += 1) search.goOn(0.2);
  assert.deepEqual(search.resultFor(inodeOf(fd)).holders, [heir.pid]);
  t.diagnostic(`${pieces} pieces`);
});

test('children are inspected before all other processes', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  await using heir = await startCat(fd);
  await using other = await startCat();
  const search = new Search([inodeOf(fd)], { onlyOurs: false, friends: [other.pid] });
  while (search.resultFor(inodeOf(fd)).holders.length === 0) search.goOn(0.01);
  // The parent, and everything else on this host, is left.
  assert.deepEqual(
    { holders: search.resultFor(inodeOf(fd)).holders, finished: search.finished },
    { holders: [heir.pid], finished: false },
  );
  search.pause();
});

test('a search that pauses in the middle of a process, and goes on, misses nothing', async () => {
  await using loopback = new Loopback();
  const listeners = await Promise.all(Array.from({ length: 40 }, () => loopback.startListener()));
  const inodes = listeners.map(({ fd }) => inodeOf(fd));
  const program = '/bin/cat';
  const stdio = ['pipe', 'ignore', 'ignore', ...listeners.map(({ fd }) => fd)] as const;
  await using heir = startCommand([program], { stdio: [...stdio] });
  await once(heir.child, 'spawn');
  const search = new Search(inodes, { onlyOurs: true });
  for (let piece = 0; !search.finished; piece += 1) {
    search.goOn(0.05);
    // It begins the process anew then, which must count each descriptor once.
    if (piece % 100 === 99) search.pause();
  }
  assert.deepEqual(
    inodes.map((inode) => search.resultFor(inode).holders),
    inodes.map(() => [heir.pid]),
  );
});

test('friends that hold it do not count', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  await using friend = await startCat(fd);
  await using heir = await startCat(fd);
  const { holders } = findHolders(inodeOf(fd), { ...ENOUGH, friends: [friend.pid] });
  assert.deepEqual(holders, [heir.pid]);
});
