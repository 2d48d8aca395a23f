import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { findHolders, type HolderSearch, Search } from '../../src/linux/process/holders.ts';
import { startCat } from './cat.ts';
import { Loopback } from './loopback.ts';
import { needsRoot } from '../harness/needs.ts';
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

test('friends that hold it do not count', async () => {
  await using loopback = new Loopback();
  const { fd } = await loopback.startListener();
  await using friend = await startCat(fd);
  await using heir = await startCat(fd);
  const { holders } = findHolders(inodeOf(fd), { ...ENOUGH, friends: [friend.pid] });
  assert.deepEqual(holders, [heir.pid]);
});
