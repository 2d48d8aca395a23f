import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { loadLibc } from '../linux/libc.ts';
import { parseTarget, TARGET_FORMS } from '../program/find/target.ts';
import { Sampler, type WatchSample } from '../program/watch/sampler.ts';
import { Pace } from '../pace.ts';
import { CommandError } from './command-error.ts';
import { describeSample } from './describe-sample.ts';
import { durationOption } from './option-values.ts';
import { FullScreen } from './terminal/full-screen.ts';
import { runInterruptible } from './terminal/interrupt.ts';
import { mayColour } from './terminal/text.ts';

interface WatchCommandOptions {
  readonly interval: number;
  readonly json?: boolean;
  readonly once?: boolean;
}

/** In ms. A look at many connections takes a while. */
const SHORTEST_INTERVAL = 100;
const MINUTE = 60_000;

/** Adds `lastcall watch`. */
export function addWatchCommand(program: Command): void {
  program
    .command('watch')
    .summary('show the queues, gates and connections of any listeners')
    .description(
      'Shows listeners live: gate, accept queue, half-open connections, drops, connections by state, and the rates of the ' +
        'network namespace. Changes nothing. A port needs no privileges.\nKeys: p pauses, q quits. Exit code: 0; 2 for wrong ' +
        'options, or if there is no such process; 77 if this user cannot inspect it.',
    )
    .argument('[target]', `${TARGET_FORMS}; without it all TCP listeners`)
    .addOption(durationOption('--interval', 'how often to look', 1))
    .option('--json', 'print one JSON document per line instead of a screen')
    .option('--once', 'look once, and exit')
    .action((target: string | undefined, options: WatchCommandOptions) =>
      runInterruptible((signal) => watch(target, options, signal)),
    );
}

async function watch(text: string | undefined, options: WatchCommandOptions, signal: AbortSignal): Promise<number> {
  if (options.interval < SHORTEST_INTERVAL)
    throw new CommandError(2, `Expected an --interval of at least ${SHORTEST_INTERVAL}ms`);
  const loaded = loadLibc();
  if (!loaded.available) throw new CommandError(2, `Cannot watch listeners: ${loaded.reason}`);
  const sampler = new Sampler(text === undefined ? undefined : parseTarget(text));
  const view = options.json ? new JsonView() : new TextView(`lastcall watch ${text ?? ''}`.trim(), options);
  const quit = new AbortController();
  const stop = AbortSignal.any([signal, quit.signal]);
  const pace = new Pace();
  view.open(() => quit.abort());
  try {
    while (!stop.aborted && sampler.isRunning()) {
      view.show(pace.measure(() => sampler.sample()));
      if (options.once) return 0;
      await sleep(Math.max(options.interval, pace.wait), undefined, { signal: stop }).catch(() => {});
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

/** On a terminal one screen that is redrawn; otherwise one table after another. */
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
    // A pause leaves no gap in the history.
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
