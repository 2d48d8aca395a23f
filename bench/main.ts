import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Figures } from './figures.ts';
import { judge } from './goals.ts';
import { measureImports } from './imports.ts';
import { describeMachine, loadNow } from './machine.ts';
import { Progress } from './progress.ts';
import { measureQueues } from './queues.ts';
import { writeReport } from './report.ts';
import { FULL, QUICK, type Run } from './run.ts';
import { measureServing } from './serving.ts';
import { measureStops } from './stops.ts';

const page = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

const HELP = `Usage: npm run bench -- [options]

Measures lastcall against plain server.close() and other libraries, side by side, in about ten minutes,
prints the tables and writes them into docs/benchmarks.md.

  --quick   a trial run of some seconds; writes no page
  --json    print the figures for a program
  --help    print this
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean' } },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const progress = new Progress();
  const figures = await measure({
    ...(values.quick ? QUICK : FULL),
    progress: (text) => progress.tell(text),
    signal: abortOnInterrupt(),
  });
  progress.end();

  const report = `${writeReport(figures)}\n`;
  if (!values.quick) writeFileSync(page, report);
  process.stdout.write(values.json ? `${JSON.stringify(figures, undefined, 2)}\n` : report);
}

async function measure(run: Run): Promise<Figures> {
  const loadBefore = loadNow();
  const stops = await measureStops(run);
  const queues = await measureQueues(run);
  const serving = await measureServing(run);
  const imports = await measureImports(run);
  const measured = { machine: describeMachine(loadBefore), stops, queues, serving, imports };
  return { ...measured, goals: judge(measured) };
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
