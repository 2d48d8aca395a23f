import { LastCallError } from '../errors.ts';

/**
 * Runs one of the program's hooks, for so many milliseconds at most, and not beyond `over`. Resolves with what went wrong:
 * `ERR_CALLBACK` where it threw or rejected, `ERR_OVERRUN` where it was not done in time. What it does then is lost.
 */
export async function runHook(
  name: string,
  hook: () => unknown,
  most: number,
  over: AbortSignal,
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
  const overrun = new Promise<LastCallError>((resolve) => {
    const tell = (): void => resolve(new LastCallError('ERR_OVERRUN', `\`${name}\` was not done in its time`));
    const timer = setTimeout(tell, most);
    over.addEventListener('abort', tell, { once: true, signal: settled.signal });
    settled.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  try {
    return await Promise.race([run(), overrun]);
  } finally {
    settled.abort();
  }
}
