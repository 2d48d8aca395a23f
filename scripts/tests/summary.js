// What is printed when all files have run: failures in full, what was skipped and why, the claims and their controls.
import { duration, styled } from './screen.js';

/** @typedef {import('./file-run.js').FileResult} FileResult */

/**
 * Prints the end of a run. Returns whether it is a success.
 * @param {readonly FileResult[]} results
 * @param {{ took: number, noSkips: boolean, isWhole: boolean, hasTable: boolean, isCutShort: boolean }} run
 */
export function summarize(results, { took, noSkips, isWhole, hasTable, isCutShort }) {
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.flatMap(({ name, failed }) => failed.map((one) => ({ file: name, ...one })));
  const skipped = results.flatMap((result) => result.skipped);
  const proofs = gatherProofs(results);
  if (hasTable) printProofs(proofs);
  if (isWhole && failed.length === 0) failed.push(...unproved(proofs, skipped.length > 0));
  printSkipped(skipped);
  for (const { file, name, error } of failed) {
    print(`\n${styled('red', '✖')} ${styled('bold', file)} > ${name}\n${error.replaceAll(/^/gm, '    ')}`);
  }
  if (noSkips && skipped.length > 0) print(`\n${styled('red', 'Nothing may be skipped in this run.')}`);
  if (isCutShort) print(`\n${styled('red', 'Ended before all files had run.')}`);
  print(`\n${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
  print(`${results.length} ${results.length === 1 ? 'file' : 'files'} in ${duration(took)}`);
  return failed.length === 0 && !isCutShort && !(noSkips && skipped.length > 0);
}

/** @param {readonly FileResult[]} results */
function gatherProofs(results) {
  /** @type {Map<string, { held: Record<string, number>[], lost: number[] }>} */
  const proofs = new Map();
  for (const sent of results.flatMap((result) => /** @type {any[]} */ (result.proofs))) {
    const proof = proofs.get(sent.claim) ?? { held: [], lost: [] };
    if (sent.walked !== undefined) proof.held.push(sent.walked);
    if (sent.lost !== undefined) proof.lost.push(sent.lost);
    proofs.set(sent.claim, proof);
  }
  return proofs;
}

/** @param {ReturnType<typeof gatherProofs>} proofs */
function printProofs(proofs) {
  if (proofs.size === 0) return;
  const rows = [...proofs].map(([claim, { held, lost }]) => [claim, String(held.length), statesOf(held), range(lost)]);
  const head = ['Claim: nobody is lost', 'held', 'in this state', 'lost by the control'];
  const all = [head, ...rows.sort(([a = ''], [b = '']) => a.localeCompare(b))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  print('');
  for (const row of all)
    print(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

/** @param {readonly Record<string, number>[]} held */
function statesOf(held) {
  const names = new Set(held.flatMap((walked) => Object.keys(walked)));
  return [...names].map((name) => `${range(held.flatMap((walked) => walked[name] ?? []))} ${wordsOf(name)}`).join(', ');
}

/** `halfOpen` is half-open, `underWay` is under way. @param {string} name */
function wordsOf(name) {
  return name === 'halfOpen'
    ? 'half-open'
    : name.replaceAll(/(?<=[a-z])[A-Z](?=[a-z])/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** @param {readonly number[]} numbers */
function range(numbers) {
  if (numbers.length === 0) return '-';
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return least === most ? String(least) : `${least} to ${most}`;
}

/**
 * Claims whose control did not lose, and controls without their claim. Where something was skipped the other half may be there.
 * @param {ReturnType<typeof gatherProofs>} proofs
 * @param {boolean} isPartial
 */
function unproved(proofs, isPartial) {
  if (isPartial) return [];
  return [...proofs]
    .filter(([, { held, lost }]) => held.length === 0 || lost.length === 0)
    .map(([claim, { held }]) => ({
      file: '(the proofs)',
      name: claim,
      error: held.length > 0 ? 'No control of this claim has lost' : 'A control without its claim',
    }));
}

/** @param {readonly { why: string }[]} skipped */
function printSkipped(skipped) {
  if (skipped.length === 0) return;
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { why } of skipped) counts.set(why, (counts.get(why) ?? 0) + 1);
  print(`\n${styled('yellow', 'Skipped, because of what is missing here:')}`);
  for (const [why, count] of [...counts].sort(([a], [b]) => a.localeCompare(b))) {
    print(`  ${String(count).padStart(4)}  ${why || 'no reason given'}`);
  }
}

/** @param {string} text */
function print(text) {
  process.stdout.write(`${text}\n`);
}
