import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

/**
 * What Node writes of an error that ends the process (src/node_errors.cc): where it was thrown, the error, Node's version.
 * Node writes it only as it exits, which a stop has still some seconds until.
 */
export function describeUncaught(error: unknown, isRejection: boolean): string {
  const version = `\nNode.js ${process.version}\n`;
  if (!(error instanceof Error)) return `Uncaught:\n${inspect(error)}\n${version}`;
  // Where a promise was rejected Node cannot tell.
  const place = isRejection ? '' : placeOf(error.stack ?? '');
  return `${place}${inspect(error)}\n${version}`;
}

/** The line of source that the error was thrown from, with a mark below; empty where it cannot be read. */
function placeOf(stack: string): string {
  const [, file = '', line = '', column = ''] =
    /^ {4}at (?:.*\()?((?:file:\/\/)?\/[^()\n]+?):(\d+):(\d+)\)?$/m.exec(stack) ?? [];
  if (file === '') return '';
  const source = readLine(file, Number(line));
  if (source === undefined) return '';
  return `${file}:${line}\n${source}\n${' '.repeat(markAt(source, Number(column) - 1))}^\n\n`;
}

function readLine(file: string, line: number): string | undefined {
  try {
    const path = file.startsWith('file:') ? fileURLToPath(file) : file;
    return readFileSync(path, 'utf8').split('\n')[line - 1];
  } catch {
    return undefined;
  }
}

/** The stack knows where the error was made; Node marks where it was thrown, most often just before. */
function markAt(source: string, column: number): number {
  const thrown = /throw\s+$/.exec(source.slice(0, column));
  return thrown?.index ?? column;
}
