import { messageOf } from '../errors.ts';

/** The command could not do its work. */
export const EXIT_COULD_NOT_RUN = 2;
/** EX_NOPERM of sysexits.h. */
export const EXIT_NO_RIGHT = 77;

/** An error that ends a command with this exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** An error of ours that nobody expected, with its place. */
export function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
}
