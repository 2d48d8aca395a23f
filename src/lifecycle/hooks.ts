import { LastCallError } from '../errors.ts';

/** How long a hook may take. */
export interface HookLimits {
  /** In milliseconds. */
  readonly most: number;
  /** Aborted when its time is over, however much that was. */
  readonly over?: AbortSignal;
  /** Aborted when nobody waits for it any more, without a reproach. */
  readonly abandoned?: AbortSignal;
}

/**
 * Runs one of the program's hooks. Resolves with what went wrong: `ERR_CALLBACK` where it threw or rejected, `ERR_OVERRUN`
 * where it was not done in time. What it does then is lost.
 */
export async function runHook(
  name: string,
  hook: () => unknown,
  { most, over, abandoned }: HookLimits,
): Promise<LastCallError | undefined> {
  const settled = new AbortController();
  const run = async (): Promise<LastCallError | undefined> => {
    try {
      await hook();
      return undefined;
    } catch (cause) {
      return new LastCallError('ERR_CALLBACK', `\`${name}\` threw`, { cause });
    }
  };
  const overrun = new Promise<LastCallError | undefined>((resolve) => {
    const tell = (): void => resolve(new LastCallError('ERR_OVERRUN', `\`${name}\` was not done in its time`));
    const timer = setTimeout(tell, most);
    over?.addEventListener('abort', tell, { once: true, signal: settled.signal });
    abandoned?.addEventListener('abort', () => resolve(undefined), { once: true, signal: settled.signal });
    settled.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  try {
    return await Promise.race([run(), overrun]);
  } finally {
    settled.abort();
  }
}
