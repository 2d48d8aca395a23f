import type { MetricsRegistry } from '../../src/metrics.ts';

/** Every series of a scrape by its name and labels, as Prometheus reads them: `lastcall_connections{protocol="h2"}`. */
export async function scrape(registry: MetricsRegistry): Promise<ReadonlyMap<string, number>> {
  return parseScrape(await registry.metrics());
}

export function parseScrape(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

/** The series of one metric that are not 0, by the values of their labels. */
export function countsOf(series: ReadonlyMap<string, number>, metric: string): Readonly<Record<string, number>> {
  const own = [...series].filter(([name, value]) => name.startsWith(`${metric}{`) && value !== 0);
  return Object.fromEntries(
    own.map(([name, value]) => [[...name.matchAll(/="([^"]*)"/g)].map(([, label]) => label).join(', '), value]),
  );
}
