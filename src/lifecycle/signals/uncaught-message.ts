import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { tellEmitter } from '../../node/fields.ts';

/**
 * What Node writes of an error that ends the process (src/node_errors.cc): where it was thrown, the error, Node's version.
 * Node writes it only as it exits, which a stop has still some seconds until.
 */
export function describeUncaught(error: unknown, isRejection: boolean): string {
  try {
    return describe(error, isRejection);
  } catch {
    // It may be anything, and have getters that throw.
    return `Uncaught:\nan error that cannot be shown\n\nNode.js ${process.version}\n`;
  }
}

function describe(error: unknown, isRejection: boolean): string {
  const version = `\nNode.js ${process.version}\n`;
  if (!(error instanceof Error)) {
    const hint = '(Use `node --trace-uncaught ...` to show where the exception was thrown)';
    return `Uncaught:\n${inspect(error)}\n${hint}\n${version}`;
  }
  const place = placeOf(error.stack ?? '', isRejection);
  tellEmitter(error);
  return `${place}${inspect(error)}\n${version}`;
}

/** The line of source that the error was thrown from, with a mark below; empty where it cannot be read. */
function placeOf(stack: string, isRejection: boolean): string {
  const [, file = '', line = '', column = ''] =
    /^ {4}at (?:.*\()?((?:file:\/\/)?\/[^()\n]+?):(\d+):(\d+)\)?$/m.exec(stack) ?? [];
  if (file === '') return '';
  const source = readLine(file, Number(line));
  if (source === undefined) return '';
  const made = Number(column) - 1;
  const mark = isRejection ? made : thrownAt(source, made);
  return `${file}:${line}\n${source}\n${' '.repeat(mark)}^\n\n`;
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
function thrownAt(source: string, column: number): number {
  const thrown = /throw\s+$/.exec(source.slice(0, column));
  return thrown?.index ?? column;
}
