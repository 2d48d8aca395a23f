import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Latencies } from '../../src/storm/latencies.ts';

describe('latencies', () => {
  it('are summarized by nearest rank', () => {
    const latencies = new Latencies();
    for (let index = 5_000; index >= 1; index -= 1) latencies.add(index);
    assert.deepEqual(latencies.summary(), { p50: 2_500, p90: 4_500, p99: 4_950, max: 5_000 });
  });

  it('of a single request are all equal', () => {
    const latencies = new Latencies();
    latencies.add(7);
    assert.deepEqual(latencies.summary(), { p50: 7, p90: 7, p99: 7, max: 7 });
  });

  it('without a request are 0', () => {
    assert.deepEqual(new Latencies().summary(), { p50: 0, p90: 0, p99: 0, max: 0 });
  });
});
