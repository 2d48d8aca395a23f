import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Run } from '../run.ts';
import { median } from '../report/statistics.ts';

const program = fileURLToPath(new URL('../programs/import-probe.js', import.meta.url));

/** What importing a module took: milliseconds and KiB of resident memory. */
export interface ImportProbe {
  readonly time: number;
  readonly memory: number;
  /** The same, until a first server listens: lastcall loads its FFI then. */
  readonly untilListening: number;
  readonly memoryListening: number;
}

/** Medians, beyond those of a process that imports nothing; that process itself as it is. */
export interface ImportFigures extends ImportProbe {
  readonly title: string;
}

const MODULES: readonly { readonly title: string; readonly module: string }[] = [
  { title: 'lastcall', module: 'lastcall' },
  { title: 'http-terminator', module: 'http-terminator' },
  { title: 'stoppable', module: 'stoppable' },
  { title: 'http-graceful-shutdown', module: 'http-graceful-shutdown' },
];

const NOTHING = { title: 'nothing', module: 'none' };

/** Each import in a process of its own, in turn. */
export async function measureImports(run: Run): Promise<readonly ImportFigures[]> {
  const probes = new Map([NOTHING, ...MODULES].map((one) => [one, new Array<ImportProbe>()]));
  for (let round = 1; round <= run.imports; round++) {
    run.progress(`import: round ${round} of ${run.imports}`);
    for (const [{ module }, list] of probes) list.push(await probe(module, run.signal));
  }
  const nothing = medians(probes.get(NOTHING) ?? []);
  return [...probes].map(([one, list]) => {
    const figures = medians(list);
    return { title: one.title, ...(one === NOTHING ? figures : beyond(figures, nothing)) };
  });
}

async function probe(module: string, signal: AbortSignal): Promise<ImportProbe> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, module], { signal });
  const result: ImportProbe = JSON.parse(stdout);
  return result;
}

function medians(list: readonly ImportProbe[]): ImportProbe {
  return {
    time: median(list.map(({ time }) => time)),
    memory: median(list.map(({ memory }) => memory)),
    untilListening: median(list.map(({ untilListening }) => untilListening)),
    memoryListening: median(list.map(({ memoryListening }) => memoryListening)),
  };
}

function beyond(figures: ImportProbe, nothing: ImportProbe): ImportProbe {
  return {
    time: figures.time - nothing.time,
    memory: figures.memory - nothing.memory,
    untilListening: figures.untilListening - nothing.untilListening,
    memoryListening: figures.memoryListening - nothing.memoryListening,
  };
}
