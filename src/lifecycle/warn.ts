/** A warning of lastcall's, as Node prints its own. */
export function warn(message: string): void {
  process.emitWarning(message, 'LastCallWarning');
}
