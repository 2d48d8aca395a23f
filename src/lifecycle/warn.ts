/** A warning of lastcall's, as Node prints its own. */
export function warn(message: string): void {
  process.emitWarning(message, 'LastCallWarning');
}

/** The message of an error, or what was thrown in place of one. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
