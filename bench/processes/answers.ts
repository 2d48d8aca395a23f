import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What a child tells on its standard output, a line of JSON each. */
export class Answers<Answer extends { readonly kind: string }> {
  readonly #lines: AsyncIterator<string>;

  constructor({ stdout }: ChildProcess) {
    if (stdout === null) throw new Error('The child has no standard output');
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  /** The next answer, which is of that kind. */
  async next<Kind extends Answer['kind']>(kind: Kind): Promise<Extract<Answer, { kind: Kind }>> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`A process of the benchmark ended before its answer: ${kind}`);
    const answer: Answer = JSON.parse(line.value);
    if (!isOfKind<Answer, Kind>(answer, kind)) throw new Error(`Expected the answer ${kind}, got ${line.value}`);
    return answer;
  }
}

function isOfKind<Answer extends { readonly kind: string }, Kind extends Answer['kind']>(
  answer: Answer,
  kind: Kind,
): answer is Extract<Answer, { kind: Kind }> {
  return answer.kind === kind;
}
