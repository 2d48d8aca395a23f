import type { TestContext } from 'node:test';
import type { Program, Told } from '../harness/observed-program.ts';
import { type ServiceOptions, startService } from '../harness/start-service.ts';

/** A running cluster of the fixtures: its program, the port that it serves, and its workers' processes. */
export interface ClusterService {
  readonly program: Program;
  readonly port: number;
  readonly workers: readonly number[];
}

const WORKERS = 3;

/** Starts a cluster in a process group of its own, and waits until all its workers listen. */
export async function startCluster(
  t: TestContext,
  args: readonly string[],
  options: ServiceOptions = {},
): Promise<ClusterService> {
  const program = startService(t, 'lifecycle/cluster-service.js', { ...options, args, ownGroup: true });
  const ports = new Map<number, number>();
  while (ports.size < WORKERS) {
    const { pid, port = 0 } = await program.next('listening');
    // The primary's own server is one that it listens with for them.
    if (pid !== program.pid) ports.set(pid, port);
  }
  return { program, port: [...ports.values()][0] ?? 0, workers: [...ports.keys()] };
}

/** What the primary has told of this kind so far, or the workers. */
export function toldBy(who: 'primary' | 'workers', { program }: ClusterService, tell: string): readonly Told[] {
  return program.history.filter((told) => told.tell === tell && (told.pid === program.pid) === (who === 'primary'));
}
