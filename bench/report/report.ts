import type { Figures } from './figures.ts';
import type { Machine } from './machine.ts';
import { writeSections } from './sections.ts';
import { formatTable } from './table.ts';

/** The figures as a page of documentation, which is also what the command prints. */
export function writeReport(figures: Figures): string {
  return [
    '# Benchmarks',
    '`npm run bench` writes this page. Medians, with the least and the greatest value in brackets unless a table says\notherwise; each measured server is a process of its own, its clients are in another, both on the loopback interface.\nThe contenders take turns.',
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
    'Here the brackets say where the true median lies, 95 times in 100; a goal within the brackets is undecided.',
  ];
}
