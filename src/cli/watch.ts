import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { loadLibc } from '../linux/libc.ts';
import { readWatchTarget, Watcher, type WatchSample } from '../program/watch/sampler.ts';
import { CommandError } from './command-error.ts';
import { FullScreen } from './terminal/full-screen.ts';
import { runInterruptible } from './terminal/interrupt.ts';
import { mayColour } from './terminal/may-colour.ts';
import { durationOption } from './option-values.ts';
import { describeSample } from './watch-words.ts';

interface WatchCommandOptions {
  readonly interval: number;
  readonly json?: boolean;
  readonly once?: boolean;
}

/** Often enough for anybody, and bounded: a look at many connections takes a while. In ms. */
const SHORTEST_INTERVAL = 100;
const MINUTE = 60_000;

/** Adds `lastcall watch`. */
export function addWatchCommand(program: Command): void {
  program
    .command('watch')
    .summary('look at the queues, gates and connections of any listeners')
    .description(
      'Shows the listeners of a program, at a port, or all: gate, accept queue, half-open, drops, connections by state, and the ' +
        'rates of the network namespace.\nKeys: p pauses, q quits. Changes nothing, and needs no privileges for a port. Exit ' +
        'code: 0; 2 if there is no such process; 77 if it may not be looked into.',
    )
    .argument('[target]', 'a process (12345), a port (:8080) or a Unix path (/run/app.sock); all TCP listeners without')
    .addOption(durationOption('--interval', 'how often to look', 1))
    .option('--json', 'print a JSON document a line, instead of a screen')
    .option('--once', 'look once')
    .action((target: string | undefined, options: WatchCommandOptions) =>
      runInterruptible((signal) => watch(target, options, signal)),
    );
}

async function watch(text: string | undefined, options: WatchCommandOptions, signal: AbortSignal): Promise<number> {
  if (options.interval < SHORTEST_INTERVAL)
    throw new CommandError(2, `Expected an --interval of at least ${SHORTEST_INTERVAL}ms`);
  const loaded = loadLibc();
  if (!loaded.available) throw new CommandError(2, `No listeners can be watched: ${loaded.reason}`);
  const watcher = new Watcher(readWatchTarget(text));
  const view = options.json ? new JsonView() : new TextView(`lastcall watch ${text ?? ''}`.trim(), options);
  const over = new AbortController();
  const stop = AbortSignal.any([signal, over.signal]);
  view.open(() => over.abort());
  try {
    while (!stop.aborted && watcher.isThere()) {
      view.show(watcher.look());
      if (options.once) return 0;
      await sleep(options.interval, undefined, { signal: stop }).catch(() => {});
    }
  } finally {
    view.close();
  }
  if (!stop.aborted) process.stderr.write(`lastcall: process ${text} has ended\n`);
  return 0;
}

class JsonView {
  open(): void {}
  close(): void {}
  show({ time, ...sample }: WatchSample): void {
    process.stdout.write(`${JSON.stringify({ time: new Date(time).toISOString(), ...sample })}\n`);
  }
}

/** On a terminal one screen that is written over, else a table after the other. */
class TextView {
  readonly #title: string;
  readonly #interval: number;
  readonly #isLive: boolean;
  readonly #history = new Map<string, number[]>();
  #screen: FullScreen | undefined;
  #last: WatchSample | undefined;
  #isPaused = false;
  readonly #redraw = (): void => this.#draw();

  constructor(title: string, { interval, once }: WatchCommandOptions) {
    this.#title = title;
    this.#interval = interval;
    this.#isLive = process.stdout.isTTY && !once;
  }

  open(quit: () => void): void {
    if (!this.#isLive) return;
    this.#screen = new FullScreen(process.stdout, process.stdin, (key) => {
      if (key === 'q' || key === 'ctrl-c' || key === 'ctrl-d') quit();
      if (key === 'p') this.#pause();
    });
    this.#screen.open();
    process.stdout.on('resize', this.#redraw);
  }

  close(): void {
    this.#screen?.close();
    process.stdout.off('resize', this.#redraw);
  }

  show(sample: WatchSample): void {
    this.#remember(sample);
    // What happens meanwhile is looked at all the same: the minute has no hole.
    if (this.#isPaused) return;
    this.#last = sample;
    this.#draw();
  }

  #pause(): void {
    this.#isPaused = !this.#isPaused;
    this.#draw();
  }

  #remember({ listeners }: WatchSample): void {
    const most = Math.ceil(MINUTE / this.#interval);
    for (const { address, queued } of listeners) {
      const values = this.#history.get(address) ?? [];
      values.push(queued);
      if (values.length > most) values.shift();
      this.#history.set(address, values);
    }
    const addresses = new Set(listeners.map(({ address }) => address));
    for (const address of this.#history.keys()) if (!addresses.has(address)) this.#history.delete(address);
  }

  #draw(): void {
    if (this.#last === undefined) return;
    const time = new Date(this.#last.time).toLocaleTimeString('en-GB');
    const keys =
      this.#screen === undefined ? '' : this.#isPaused ? '   PAUSED (p goes on, q quits)' : '   (p pauses, q quits)';
    const style = { colour: mayColour(), width: process.stdout.columns ?? 100 };
    const lines = [`${this.#title}   ${time}${keys}`, ...describeSample(this.#last, this.#history, style)];
    if (this.#screen === undefined) process.stdout.write(`${lines.join('\n')}\n\n`);
    else this.#screen.draw(lines);
  }
}
