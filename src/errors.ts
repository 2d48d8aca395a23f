import { isBun } from './node/bun.ts';

/** Every code that a `LastCallError` can have; docs/errors.md has a heading for each. */
export const ERROR_CODES = [
  'ERR_OPTION',
  'ERR_SERVER',
  'ERR_CALLBACK',
  'ERR_OVERRUN',
  'ERR_ENVIRONMENT',
  'ERR_WORKER',
  'ERR_NOT_PROCESSED',
  'ERR_OUTCOME_UNKNOWN',
  'ERR_REQUEST_FAILED',
  'ERR_KEY_REUSED',
  'ERR_CHANNEL_CLOSED',
  'ERR_CHANNEL_BROKEN',
  'ERR_CHANNEL_LIMIT',
  'ERR_CHANNEL_PROTOCOL',
  'ERR_CHANNEL_READ',
  'ERR_CHANNEL_TIMEOUT',
  'ERR_CHANNEL_VERSION',
] as const;

/** A code of the closed list that docs/errors.md explains. */
export type LastCallErrorCode = (typeof ERROR_CODES)[number];

/** The one class of errors that lastcall throws or reports; `code` is stable, `cause` is kept. */
export class LastCallError extends Error {
  override readonly name = 'LastCallError';
  readonly code: LastCallErrorCode;

  constructor(code: LastCallErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The message of an error, or what was thrown in place of one. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An `ERR_OPTION` in the one form that all of them have: what was expected, and what came. */
export function optionError(name: string, expected: string, got: unknown): LastCallError {
  return new LastCallError('ERR_OPTION', `Expected \`${name}\` to be ${expected}, got ${show(got)}`);
}

/** An `ERR_SERVER`: what came is most often a framework's application. */
export function serverError(
  got: unknown,
  servers = "a net, tls, http, https or http2 server, an array of them, or `'all'`",
): LastCallError {
  const hint = hintFor(got);
  return new LastCallError('ERR_SERVER', `Expected ${servers}, got ${show(got)}${hint}`);
}

/** What a framework's application has the server in, and what Bun calls one. */
function hintFor(got: unknown): string {
  if (typeof got === 'function') return '; of an Express application, pass what `app.listen()` returns';
  if (got instanceof Promise) return '; await it first';
  if (isBun && typeof got === 'object' && got !== null && 'closeIdleConnections' in got) {
    return ': the http and https servers of Bun are none of node:net, and lastcall cannot close them';
  }
  const hasServer = typeof got === 'object' && got !== null && 'server' in got;
  return hasServer ? "; pass its `server`, or `'all'`" : '';
}

function show(value: unknown): string {
  if (typeof value === 'string') return `\`${value}\``;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return `\`${String(value)}\``;
}
