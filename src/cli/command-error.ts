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
