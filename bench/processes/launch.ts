import type { ChildProcess, SpawnOptions } from 'node:child_process';

/** Starts a program of the benchmark: child_process.spawn, or that of a host of the lab. */
export type Launch = (command: string, args: readonly string[], options: SpawnOptions) => ChildProcess;
