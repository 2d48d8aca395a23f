import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';

/** Where and with what the figures came about. */
export interface Machine {
  readonly processor: string;
  readonly processors: number;
  /** GiB. */
  readonly memory: number;
  readonly kernel: string;
  readonly node: string;
  readonly versions: Readonly<Record<string, string>>;
  /** The one-minute load before the first measurement and after the last: what else ran. The benchmark itself makes about 2. */
  readonly load: { readonly before: number; readonly after: number };
  readonly date: string;
}

const PACKAGES = ['koffi', 'http-terminator', 'stoppable', 'http-graceful-shutdown'];

export function loadNow(): number {
  return os.loadavg()[0] ?? 0;
}

/** Called after the last measurement, with the load from before the first. */
export function describeMachine(loadBefore: number): Machine {
  return {
    processor: os.cpus()[0]?.model.trim() ?? 'unknown',
    processors: os.availableParallelism(),
    memory: os.totalmem() / 2 ** 30,
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    versions: Object.fromEntries([
      ['lastcall', versionIn(new URL('../../../package.json', import.meta.url))],
      ...PACKAGES.map((name) => [name, installedVersion(name)]),
    ]),
    load: { before: loadBefore, after: loadNow() },
    date: new Date().toISOString().slice(0, 10),
  };
}

/** From the nearest node_modules: some packages do not export their package.json. */
function installedVersion(name: string): string {
  const [folder] = (createRequire(import.meta.url).resolve.paths(name) ?? []).filter((path) => hasPackage(path, name));
  return folder === undefined ? 'unknown' : versionIn(`${folder}/${name}/package.json`);
}

function hasPackage(folder: string, name: string): boolean {
  return versionIn(`${folder}/${name}/package.json`) !== 'unknown';
}

function versionIn(file: string | URL): string {
  try {
    const { version }: { version?: unknown } = JSON.parse(readFileSync(file, 'utf8'));
    return typeof version === 'string' ? version : 'unknown';
  } catch {
    return 'unknown';
  }
}
