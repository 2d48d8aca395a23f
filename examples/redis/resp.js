// The Redis protocol (RESP 2 and 3), as far as a small server needs it.

const END = '\r\n';

/** Takes whole commands, each an array of Buffers, from the front of the input. `rest` is the incomplete remainder. */
export function takeCommands(bytes) {
  const commands = [];
  let rest = bytes;
  for (;;) {
    const taken = takeCommand(rest);
    if (taken === undefined) return { commands, rest };
    commands.push(taken.words);
    rest = rest.subarray(taken.length);
  }
}

function takeCommand(bytes) {
  const head = takeLength(bytes, 0, '*');
  if (head === undefined) return undefined;
  const words = [];
  let at = head.end;
  while (words.length < head.length) {
    const word = takeLength(bytes, at, '$');
    if (word === undefined || bytes.length < word.end + word.length + END.length) return undefined;
    words.push(bytes.subarray(word.end, word.end + word.length));
    at = word.end + word.length + END.length;
  }
  return { words, length: at };
}

/** The number on a line that begins with `sign`. */
function takeLength(bytes, at, sign) {
  const end = bytes.indexOf(END, at);
  if (end === -1) return undefined;
  const line = bytes.toString('latin1', at, end);
  if (!line.startsWith(sign)) throw new Error(`Expected ${sign}, got ${line}`);
  return { length: Number(line.slice(1)), end: end + END.length };
}

export const OK = '+OK\r\n';

export function status(text) {
  return `+${text}${END}`;
}

export function error(text) {
  return `-ERR ${text}${END}`;
}

export function integer(number) {
  return `:${number}${END}`;
}

/** A string of bytes, or null. RESP 2 has no null of its own. */
export function bulk(value, version) {
  if (value === undefined) return version === 3 ? `_${END}` : `$-1${END}`;
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from(`$${bytes.length}${END}`), bytes, Buffer.from(END)]);
}

export function array(values) {
  return Buffer.concat([`*${values.length}${END}`, ...values].map((part) => Buffer.from(part)));
}

/** A null in place of an array. */
export function none(version) {
  return version === 3 ? `_${END}` : `*-1${END}`;
}

/** A map of encoded values, which in RESP 2 is an array of its keys and values. */
export function map(entries, version) {
  const pairs = Object.entries(entries).map(([key, value]) => bulk(key) + value);
  return (version === 3 ? `%${pairs.length}` : `*${pairs.length * 2}`) + END + pairs.join('');
}

/** A message that the server sends without a request (RESP 3 only). */
export function push(values) {
  return `>${values.length}${END}${values.join('')}`;
}
