import type { Figures } from './figures.ts';
import { formatTable } from './table.ts';
import type { Machine } from './machine.ts';
import type { Spread } from './statistics.ts';
import { STORM_CLIENTS } from './stops.ts';

/** The figures as a page of documentation, which is also what the command prints. */
export function writeReport(figures: Figures): string {
  return [
    '# Benchmarks',
    '`npm run bench` writes this page. Medians, with the least and the greatest value in brackets unless a table says\notherwise; each measured server is a process of its own, its clients are in another, both on the loopback interface.\nThe contenders take turns.',
    describe(figures.machine),
    '## Goals',
    goals(figures),
    'Here the brackets say where the true median lies, 95 times in 100; a goal within the brackets is undecided.',
    '## A stop under load',
    `${STORM_CLIENTS} clients open a new connection for each request while the server is stopped, ${countOf(figures.stops[0]?.lost)} stops each. A client is lost when its\nconnection was reset, ended or left without an answer; one that is refused is not. The gate is shut when no new\nconnection can get in any more.`,
    stops(figures),
    "A process that has children, or has passed a handle to its parent, first searches /proc for other holders of the listener,\nwhich takes about 10 ms here and 50 ms at most; `gate: 'own'` says that there are none.",
    '## A queue of connections',
    "The server's loop is blocked until so many clients have connected and asked; then it stops. Times are microseconds for\neach queued connection, from the call until the stop is done; the first row serves the same queue without any stop.\nWhat a stop costs once, such as a walk through all sockets of the host, is in them: it weighs most where few are queued.",
    queues(figures),
    '## Serving',
    'CPU time of the server per request with lastcall imported and the server seen by it, against a plain server, in rounds one\nright after the other, on a processor of their own where there are two; the noise is a second plain server against the\nfirst in the same rounds. In brackets where the true median lies, 95 times in 100.',
    serving(figures),
    '## Import',
    'In a fresh process with node:http loaded. The first row is a process that imports nothing; the others are what comes on\ntop of it. lastcall loads its FFI when the first server listens.',
    imports(figures),
  ].join('\n\n');
}

function describe({ processor, processors, memory, kernel, node, versions, load, date }: Machine): string {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `Machine: ${processor}, ${processors} processors, ${memory.toFixed(0)} GiB, ${kernel}, load ${load.before.toFixed(1)} before, ${load.after.toFixed(1)} after.`,
    `Versions: Node ${node}, ${packages.join(', ')}. Measured on ${date}.`,
  ].join('\n');
}

function goals({ goals }: Figures): string {
  return formatTable(
    ['', 'goal', 'measured', ''],
    goals.map(({ title, goal, measured, verdict }) => [title, goal, measured, verdict]),
  );
}

function stops({ stops }: Figures): string {
  return formatTable(
    ['', 'clients lost per stop', 'gate shut after, ms', 'exit after, ms'],
    stops.map(({ title, lost, gate, exit }) => [title, show(lost, 0), show(gate, 2), show(exit, 0)]),
  );
}

function queues({ queues }: Figures): string {
  return formatTable(
    ['', 'queued', 'clients lost', 'time for each, µs', 'CPU for each, µs'],
    queues.map(({ title, queued, lost, time, cpu }) => [
      title,
      `${queued}`,
      show(lost, 0),
      show(time, 0),
      show(cpu, 0),
    ]),
  );
}

function serving({ serving }: Figures): string {
  return formatTable(
    ['', 'without, µs', 'with, µs', 'with / without', 'noise'],
    serving.map((one) => [
      one.title,
      one.without.toFixed(1),
      one.with.toFixed(1),
      showInterval(one.ratio, 3),
      showInterval(one.noise, 3),
    ]),
  );
}

function imports({ imports }: Figures): string {
  return formatTable(
    ['', 'import, ms', 'memory, MiB', 'until a server listens, ms', 'memory then, MiB'],
    imports.map((one) => [
      one.title,
      one.time.toFixed(1),
      (one.memory / 1_024).toFixed(1),
      one.untilListening.toFixed(1),
      (one.memoryListening / 1_024).toFixed(1),
    ]),
  );
}

function show({ median, least, most }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)} – ${most.toFixed(digits)})`;
}

function showInterval({ median, low, high }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${low.toFixed(digits)} – ${high.toFixed(digits)})`;
}

function countOf(spread: Spread | undefined): number {
  return spread?.count ?? 0;
}
