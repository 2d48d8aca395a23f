import type { Figures } from './figures.ts';
import type { Machine } from './machine.ts';
import { writeSections } from './sections.ts';
import { formatTable } from './table.ts';

/** The figures as a page of documentation, which is also what the command prints. */
export function writeReport(figures: Figures): string {
  return [
    '# Benchmarks',
    '`npm run bench` writes this page. The tables show medians. The brackets show the smallest and the largest value, unless\nthe text of a table explains them differently. Each measured server is a separate process. Its clients are in another\nprocess. Both use the loopback interface. The contenders take turns.',
    describe(figures.machine),
    ...goals(figures),
    ...writeSections(figures),
  ].join('\n\n');
}

function describe({ processor, processors, memory, kernel, node, versions, load, date }: Machine): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `Machine: ${processor}, ${processors} processors, ${memory.toFixed(0)} GiB, ${kernel}, load ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after.`,
    `Versions: Node ${node}, ${packages.join(', ')}. Measured on ${date}.`,
  ].join('\n');
}

function goals({ goals }: Figures): readonly string[] {
  if (goals.length === 0) return [];
  return [
    '## Goals',
    formatTable(
      ['', 'goal', 'measured', ''],
      goals.map(({ title, goal, measured, verdict }) => [title, goal, measured, verdict]),
    ),
    'In this table the true median lies within the brackets 95 times in 100. A goal within the brackets is undecided.',
  ];
}
