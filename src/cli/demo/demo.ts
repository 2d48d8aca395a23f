import type { Command } from 'commander';
import { wholeNumber } from '../option-values.ts';
import { runInterruptible } from '../terminal/interrupt.ts';
import { ProgressLine } from '../terminal/progress-line.ts';
import { mayColour } from '../terminal/text.ts';
import { WAYS } from './messages.ts';
import { describeDemo } from './report.ts';
import { type DemoResult, resultOf } from './result.ts';
import { type Stop, stopUnderLoad } from './stop.ts';

interface DemoOptions {
  readonly clients: number;
  readonly stops: number;
  readonly port: number;
  readonly json?: boolean;
}

/** Adds `lastcall demo`. */
export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .summary('stop a busy server with and without lastcall, and count the lost clients')
    .description(
      'Runs an HTTP server under a storm of clients, stops it with server.close() and with gracefulClose(), and shows what ' +
        'the clients saw.\nExit code: 0 if lastcall lost no client and the plain close lost some, otherwise 1; 2 if the demo ' +
        'could not run.',
    )
    .option('--clients <number>', 'number of clients at the same time', wholeNumber(1, 2_000), 300)
    .option('--stops <number>', 'number of stops of each kind', wholeNumber(1, 20), 3)
    .option('--port <number>', 'port on 127.0.0.1; 0 for any', wholeNumber(0, 65_535), 0)
    .option('--json', 'print one JSON document; with npm: npm start --silent -- --json')
    .action((options: DemoOptions) => runInterruptible((signal) => demo(options, signal)));
}

async function demo(options: DemoOptions, signal: AbortSignal): Promise<number> {
  const progress = new ProgressLine(process.stderr);
  let result: DemoResult;
  try {
    result = await stopInTurns(options, progress, signal);
  } finally {
    progress.clear();
  }
  // A partial result is not printed.
  signal.throwIfAborted();
  const colour = mayColour();
  process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${describeDemo(result, colour)}\n`);
  return result.verdict.ok ? 0 : 1;
}

/** Alternates the two ways, so that other work of the machine affects both. */
async function stopInTurns(options: DemoOptions, progress: ProgressLine, signal: AbortSignal): Promise<DemoResult> {
  const stops: Stop[] = [];
  let port = options.port;
  for (let turn = 1; turn <= options.stops; turn += 1) {
    for (const way of WAYS) {
      progress.begin(`${way}, stop ${turn} of ${options.stops}`);
      const onProgress = ({ served, refused }: { served: number; refused: number }): void => {
        progress.detail(`${served} served, ${refused} refused`);
      };
      const stop = await stopUnderLoad({ way, clients: options.clients, port, signal, onProgress });
      port = stop.port;
      stops.push(stop);
    }
  }
  return resultOf(options.clients, port, stops);
}
