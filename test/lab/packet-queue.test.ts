import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PacketPool, PacketQueue } from './packet-queue.ts';

test('packets leave in the order in which they came, however the queue grows', () => {
  const moves = fc.array(
    fc.record({ push: fc.integer({ min: 0, max: 900 }), shift: fc.integer({ min: 0, max: 900 }) }),
  );
  fc.assert(
    fc.property(moves, (rounds) => {
      const queue = new PacketQueue();
      let [pushed, shifted] = [0, 0];
      for (const { push, shift } of rounds) {
        for (let n = 0; n < push; n++) queue.push({ bytes: Buffer.alloc(0), length: 0, due: pushed++ });
        for (let n = 0; n < shift && queue.first !== undefined; n++) {
          assert.equal(queue.first.due, shifted++);
          queue.shift();
        }
        assert.equal(queue.length, pushed - shifted);
      }
    }),
  );
});

test('a packet that is given back is used again', () => {
  const pool = new PacketPool();
  const packet = pool.take();
  assert.notEqual(pool.take(), packet);
  pool.giveBack(packet);
  assert.equal(pool.take(), packet);
});
