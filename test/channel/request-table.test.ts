import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { RequestTable } from '../../src/channel/link/request-table.ts';

it('a table of requests holds what a Map would, in the order of the ids', () => {
  const happenings = fc.array(fc.record({ adds: fc.boolean(), pick: fc.nat(4_000) }), {
    maxLength: 6_000,
    size: 'max',
  });
  const first = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 0xf000_0000 }));
  fc.assert(
    fc.property(happenings, first, (happenings, first) => {
      const table = new RequestTable<string>();
      const map = new Map<number, string>();
      let next = first;
      for (const { adds, pick } of happenings) {
        if (adds) {
          table.add(next, `${next}`);
          map.set(next, `${next}`);
          next += 1 + (pick % 3 === 0 ? pick : 0);
        } else {
          // One of the last ids, or any other.
          const id = pick % 2 === 0 ? next - (pick % 40) : pick;
          assert.equal(table.get(id), map.get(id));
          table.delete(id);
          map.delete(id);
        }
        assert.equal(table.size, map.size);
      }
      assert.deepEqual(table.entries(), [...map]);
      table.clear();
      assert.deepEqual({ size: table.size, entries: table.entries() }, { size: 0, entries: [] });
    }),
    { numRuns: 300 },
  );
});
