import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseGates, type GateFacts } from '../../src/listener/gate/gate.ts';

const FACTS: GateFacts = {
  sharedBecause: undefined,
  noSystemCalls: undefined,
  family: 'IPv4',
  newConnections: 'refuse',
};

test('a TCP listener of ours is refused first, held where that is not allowed, left open at the last', () => {
  assert.deepEqual(chooseGates(FACTS), ['refuse', 'hold', 'none']);
  assert.deepEqual(chooseGates({ ...FACTS, family: 'IPv6' }), ['refuse', 'hold', 'none']);
});

test('who asks for hold gets it first', () => {
  assert.deepEqual(chooseGates({ ...FACTS, newConnections: 'hold' }), ['hold', 'refuse', 'none']);
});

test('a Unix listener has a method of its own', () => {
  assert.deepEqual(chooseGates({ ...FACTS, family: 'Unix' }), ['unix', 'none']);
  assert.deepEqual(chooseGates({ ...FACTS, family: 'Unix', newConnections: 'hold' }), ['unix', 'none']);
});

test("somebody else's gate is never shut, whatever else is true", () => {
  for (const family of ['IPv4', 'IPv6', 'Unix', undefined] as const) {
    for (const noSystemCalls of [undefined, 'no FFI']) {
      assert.deepEqual(chooseGates({ ...FACTS, family, noSystemCalls, sharedBecause: 'a fork' }), ['shared']);
    }
  }
});

test('without system calls there is no gate', () => {
  assert.deepEqual(chooseGates({ ...FACTS, noSystemCalls: 'koffi did not load' }), ['none']);
});
