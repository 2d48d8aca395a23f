import type { Program, Told } from '../harness/observed-program.ts';
import { holdProcess } from '../harness/processes.ts';
import { type ServiceOptions, startService } from '../harness/start-service.ts';

/** A running cluster of the fixtures: its program, the port that it serves, and its workers' processes. For `await using`. */
export interface ClusterService extends AsyncDisposable {
  readonly program: Program;
  readonly port: number;
  readonly workers: readonly number[];
}

const WORKERS = 3;

/** Starts a cluster in a new process group, and waits until all its workers listen. */
export async function startCluster(args: readonly string[], options: ServiceOptions = {}): Promise<ClusterService> {
  const program = startService('lifecycle/cluster-service', { ...options, args, ownGroup: true });
  const ports = new Map<number, number>();
  while (ports.size < WORKERS) {
    const { pid, port = 0 } = await program.next('listening');
    // The primary's own server is that with which it listens for them.
    if (pid !== program.pid) ports.set(pid, port);
  }
  return {
    program,
    port: [...ports.values()][0] ?? 0,
    workers: [...ports.keys()],
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

/** The messages of this kind so far, from the primary or from the workers. */
export function toldBy(who: 'primary' | 'workers', { program }: ClusterService, tell: string): readonly Told[] {
  return program.history.filter((told) => told.tell === tell && (told.pid === program.pid) === (who === 'primary'));
}

/** Processes that are held still until `goOn`. For `using`. */
export interface HeldProcesses extends Disposable {
  goOn(): void;
}

/** Holds workers still: connections stay in the kernel's queue, or in the primary that has accepted them. */
export async function holdWorkers(workers: readonly number[]): Promise<HeldProcesses> {
  await Promise.all(workers.map((worker) => holdProcess(worker)));
  const goOn = (): void => workers.forEach(continueIfThere);
  return { goOn, [Symbol.dispose]: goOn };
}

function continueIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // ESRCH: it has ended.
  }
}
