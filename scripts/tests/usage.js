// What a wrong call of `npm test` or `npm run test:repeat` is answered with.
import { parseArgs } from 'node:util';

/**
 * The options and the rest of the command line. Ends the process after the help, and with exit code 2 after an error.
 * @template {import('node:util').ParseArgsOptionsConfig} T
 * @param {string} help
 * @param {T} options
 */
export function readArguments(help, options) {
  try {
    const read = parseArgs({ allowPositionals: true, options: { ...options, help: { type: 'boolean', short: 'h' } } });
    if (read.values.help !== true) return read;
    process.stdout.write(help);
    process.exit();
  } catch (error) {
    return fail(/** @type {Error} */ (error).message);
  }
}

/** @param {string} name @param {string | undefined} text @param {number} least @param {number} most */
export function readNumber(name, text, least, most) {
  const number = Number(text);
  if (text !== undefined && /^\d+$/.test(text) && number >= least && number <= most) return number;
  return fail(`Expected --${name} to be a whole number from ${least} to ${most}, got \`${text}\``);
}

/** @param {string} message @returns {never} */
export function fail(message) {
  process.stderr.write(`${message}\nThe option --help lists the options.\n`);
  process.exit(2);
}
