/** Latencies in ms, by nearest rank; 0 without a measurement. */
export interface LatencySummary {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Keeps every latency in 8 bytes, so that percentiles are exact: a million take 8 MB. */
export class Latencies {
  #values = new Float64Array(1024);
  #count = 0;

  add(milliseconds: number): void {
    if (this.#count === this.#values.length) {
      const grown = new Float64Array(this.#count * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#count] = milliseconds;
    this.#count += 1;
  }

  summary(): LatencySummary {
    const sorted = this.#values.subarray(0, this.#count).toSorted();
    return {
      p50: nearestRank(sorted, 0.5),
      p90: nearestRank(sorted, 0.9),
      p99: nearestRank(sorted, 0.99),
      max: nearestRank(sorted, 1),
    };
  }
}

function nearestRank(sorted: Float64Array, fraction: number): number {
  return sorted[Math.ceil(sorted.length * fraction) - 1] ?? 0;
}
