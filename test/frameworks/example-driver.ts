// The test's side of a server of examples/ that fixtures/frameworks/example-observer watches.
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Observed } from '../fixtures/frameworks/example-observer.ts';
import { STANDS_STILL } from '../fixtures/frameworks/example-stands-still.ts';
import { fixture, forkNode, type TestProcess } from '../harness/processes.ts';

const OBSERVER = pathToFileURL(fixture('frameworks/example-observer')).href;
const PLAIN = pathToFileURL(fixture('frameworks/example-plain')).href;

/** A server that is told to stop, and can be held still. */
export interface Stoppable {
  readonly port: number;
  /** SIGTERM. */
  stop(): void;
  /** Stops it (SIGSTOP): the kernel goes on to take in clients, the program does not see them. */
  hold(): Promise<void>;
  goOn(): void;
  /**
   * SIGTERM, to one that was started for it. Resolves once it stands still in the turn in which it hears of that, before it
   * does anything about it; the function lets it go on.
   */
  stopInTurn?(): Promise<() => void>;
}

export interface ExampleOptions {
  /** `plain` is the control: the same code, with the close that it has without lastcall. */
  readonly how: 'graceful' | 'plain';
  /** Whether it can be stopped by `stopInTurn`, and only so. */
  readonly standsStill?: boolean;
}

/** An example of examples/, started as a user would start it. For `await using`. */
export interface RunningExample extends Stoppable, AsyncDisposable {
  /** As {@link TestProcess.next}. */
  readonly next: TestProcess<Observed>['next'];
  /** With what the program ended: its exit code, or the signal. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

/** Starts examples/<name>/server.js; resolves when it serves and can be told to stop. */
export async function startExample(name: string, { how, standsStill }: ExampleOptions): Promise<RunningExample> {
  const example = forkNode<Observed>(
    fileURLToPath(new URL(`../../../examples/${name}/server.js`, import.meta.url)),
    {
      execArgv: [OBSERVER, ...(how === 'plain' ? [PLAIN] : [])].flatMap((url) => ['--import', url]),
      env: { PORT: '0', ...(standsStill === true ? { [STANDS_STILL]: '1' } : {}) },
    },
    `examples/${name}`,
  );
  const port = await example.next('port');
  const stop = (): void => example.signal('SIGTERM');
  return {
    port,
    next: example.next,
    ended: example.ended.then(({ code, signal }) => code ?? signal),
    stop,
    hold: () => example.hold(),
    goOn: () => example.goOn(),
    ...(standsStill === true && {
      stopInTurn: async () => {
        stop();
        await example.next('standsStill');
        return () => example.write('\n');
      },
    }),
    [Symbol.asyncDispose]: () => example[Symbol.asyncDispose](),
  };
}
