import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { inodeOf } from '../../src/linux/descriptors.ts';
import { findHolders, type HolderSearch, Search } from '../../src/linux/holders.ts';
import { startCat } from './cat.ts';
import { startListener } from './loopback.ts';
import { NEEDS_ROOT, runChild } from './run-child.ts';

const ENOUGH = { limit: 60_000, onlyOurs: false };

test('a child that inherited the socket holds it; others do not', async (t) => {
  const { fd } = await startListener(t);
  await startCat(t);
  assert.deepEqual(findHolders(inodeOf(fd), ENOUGH).holders, []);
  const heir = await startCat(t, fd);
  const search = findHolders(inodeOf(fd), ENOUGH);
  assert.deepEqual({ holders: search.holders, finished: search.finished }, { holders: [heir.pid], finished: true });
  heir.kill();
  await once(heir, 'exit');
  assert.deepEqual(findHolders(inodeOf(fd), ENOUGH).holders, []);
});

test('a search without time is not finished', async (t) => {
  const { fd } = await startListener(t);
  const { holders, finished } = findHolders(inodeOf(fd), { ...ENOUGH, limit: 0 });
  assert.deepEqual({ holders, finished }, { holders: [], finished: false });
});

test('the processes of another user are unreadable to nobody', { skip: NEEDS_ROOT }, () => {
  const search = runChild('holders-as-nobody') as HolderSearch;
  assert.equal(search.finished, true);
  assert(search.suspects.includes(process.pid));
});

test('a child that is dead and not yet waited for is no suspect, though nobody may look into it', {
  skip: NEEDS_ROOT,
}, () => {
  assert.deepEqual(runChild('zombie-as-nobody'), { unreadable: 'EACCES', isSuspect: false });
});

test('what is older than this process, or of another family, is no suspect of a search among ours', {
  skip: NEEDS_ROOT,
}, () => {
  const { all, ours } = runChild('suspects-as-nobody') as Record<'all' | 'ours', HolderSearch>;
  assert(all.suspects.includes(process.pid));
  assert.deepEqual(ours.suspects, []);
});

test('a search that is given little time again and again comes to its end', async (t) => {
  const { fd } = await startListener(t);
  const heir = await startCat(t, fd);
  const search = new Search(inodeOf(fd), { onlyOurs: true });
  let pieces = 0;
  for (; !search.finished; pieces += 1) search.goOn(0.2);
  assert.deepEqual(search.holders, [heir.pid]);
  t.diagnostic(`${pieces} pieces`);
});

test('friends that hold it do not count', async (t) => {
  const { fd } = await startListener(t);
  const [friend, heir] = [await startCat(t, fd), await startCat(t, fd)];
  const { holders } = findHolders(inodeOf(fd), { ...ENOUGH, friends: [friend.pid ?? 0] });
  assert.deepEqual(holders, [heir.pid]);
});
