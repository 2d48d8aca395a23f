import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measureChannel } from './parts/channel.ts';
import { measureDelivery } from './parts/delivery.ts';
import type { Figures } from './report/figures.ts';
import { judge } from './report/goals.ts';
import { measureIdle } from './parts/idle.ts';
import { measureImports } from './parts/imports.ts';
import { describeMachine, loadNow } from './report/machine.ts';
import { measureMemory } from './parts/memory.ts';
import { Progress } from './progress.ts';
import { measureQueues } from './parts/queues.ts';
import { writeReport } from './report/report.ts';
import { FULL, PARTS, type Part, QUICK, type Run } from './run.ts';
import { measureRefused } from './parts/refused.ts';
import { measureRuns } from './parts/runs.ts';
import { measureServing } from './parts/serving.ts';
import { measureStops } from './parts/stops.ts';
import { measureUsual } from './parts/usual.ts';
import { measureWatching } from './parts/watching.ts';

const page = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

const HELP = `Usage: npm run bench -- [options]

Measures lastcall against plain server.close() and other libraries, side by side, in about twenty-seven minutes,
prints the tables and writes them into docs/benchmarks.md.

  --only <part>  measure only this part, or these where it is given more than once; writes no page
                 ${PARTS.join(', ')}
  --quick        a trial run of about two minutes; writes no page
  --json         print the figures for a program
  --help         print this
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const parts = checkParts(values.only ?? PARTS);
  const progress = new Progress();
  const figures = await measure(parts, {
    ...(values.quick ? QUICK : FULL),
    progress: (text) => progress.tell(text),
    signal: abortOnInterrupt(),
  });
  progress.end();

  const report = `${writeReport(figures)}\n`;
  if (!values.quick && values.only === undefined) writeFileSync(page, report);
  process.stdout.write(values.json ? `${JSON.stringify(figures, undefined, 2)}\n` : report);
}

async function measure(parts: ReadonlySet<Part>, run: Run): Promise<Figures> {
  const loadBefore = loadNow();
  const stops = parts.has('stops') ? await measureStops(run) : [];
  const queues = parts.has('queues') ? await measureQueues(run) : [];
  const idle = parts.has('idle') ? await measureIdle(run) : [];
  const memory = parts.has('memory') ? await measureMemory(run) : [];
  const delivery = parts.has('delivery') ? await measureDelivery(run) : [];
  const refused = parts.has('refused') ? await measureRefused(run) : [];
  const serving = parts.has('serving') ? await measureServing(run) : [];
  const imports = parts.has('imports') ? await measureImports(run) : [];
  const runs = parts.has('runs') ? await measureRuns(run) : [];
  const watching = parts.has('watching') ? await measureWatching(run) : [];
  const channel = parts.has('channel') ? await measureChannel(run) : [];
  const usual = parts.has('usual') ? await measureUsual(run) : [];
  const measured = {
    machine: describeMachine(loadBefore),
    stops,
    queues,
    idle,
    memory,
    delivery,
    refused,
    serving,
    imports,
    runs,
    watching,
    channel,
    usual,
  };
  return { ...measured, goals: judge(measured) };
}

function checkParts(names: readonly string[]): ReadonlySet<Part> {
  const parts = PARTS.filter((part) => names.includes(part));
  const wrong = names.find((name) => !PARTS.some((part) => part === name));
  if (wrong === undefined) return new Set(parts);
  process.stderr.write(`Expected --only with one of ${PARTS.join(', ')}, got \`${wrong}\`\n`);
  process.exit(2);
}

/** Ctrl-C ends the measured servers with us; so does our own end, for each reads our pipe. */
function abortOnInterrupt(): AbortSignal {
  const controller = new AbortController();
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(name, () => {
      controller.abort();
      process.exit(code);
    });
  }
  return controller.signal;
}

await main();
