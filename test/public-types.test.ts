import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';

const SCRIPT = new URL('../../scripts/public-types.js', import.meta.url).href;

suite('the types that users import', async () => {
  const { ENTRIES, publicTypes, snapshotOf }: Script = await import(SCRIPT);

  for (const entry of ENTRIES) {
    test(`of ${entry} are those of the snapshot, to the letter`, () => {
      assert.equal(publicTypes(entry), readFileSync(snapshotOf(entry), 'utf8'), 'run node scripts/public-types.js');
    });
  }

  test('control: a field that is gone shows', () => {
    const changed = readFileSync(snapshotOf('index'), 'utf8').replace('readonly deadline?: number;', '');
    assert.notEqual(publicTypes('index'), changed);
  });
});

interface Script {
  readonly ENTRIES: readonly string[];
  readonly publicTypes: (entry: string) => string;
  readonly snapshotOf: (entry: string) => string;
}
