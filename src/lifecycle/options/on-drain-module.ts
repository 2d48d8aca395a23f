import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { OnDrain } from '../../close/options.ts';
import { LastCallError } from '../../errors.ts';
import type { TextForm } from './text-forms.ts';

const hooks = new Map<string, OnDrain>();

/** A module whose default export is `onDrain`: a path from the working directory, or a `file:` URL. */
export const ON_DRAIN: TextForm = {
  expected: 'the path of a module such as `./drain.mjs`',
  read: (text) => {
    const url = urlOf(text);
    return url === undefined ? undefined : onDrainOf(url.href);
  },
};

/** Undefined where there is no such file, and for a URL that names no file of this host: `file://drain.mjs` names another host. */
function urlOf(text: string): URL | undefined {
  try {
    const url = text.startsWith('file:') ? new URL(text) : pathToFileURL(text);
    return existsSync(fileURLToPath(url)) ? url : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Loads the module at once: at the stop a deploy may have replaced it. It may import modules of the program that are not
 * evaluated yet. A module that cannot be used ends the program, as a wrong value does.
 */
export function onDrainOf(url: string): OnDrain {
  const known = hooks.get(url);
  if (known !== undefined) return known;
  const loaded = load(url);
  loaded.catch((error: unknown) => {
    // Not as a rejection, which the program may let pass.
    setImmediate(() => {
      throw error;
    });
  });
  const hook: OnDrain = async (connection, signal) => (await loaded)(connection, signal);
  hooks.set(url, hook);
  return hook;
}

async function load(url: string): Promise<OnDrain> {
  let exported: unknown;
  try {
    const loaded: { readonly default?: unknown } = await import(url);
    exported = loaded.default;
  } catch (cause) {
    throw new LastCallError('ERR_ENVIRONMENT', `\`LASTCALL_ON_DRAIN\`: ${url} could not be loaded`, { cause });
  }
  if (isOnDrain(exported)) return exported;
  const expected = `Expected the default export of \`LASTCALL_ON_DRAIN\` to be a function, got \`${String(exported)}\``;
  throw new LastCallError('ERR_ENVIRONMENT', `${expected} (${url})`);
}

function isOnDrain(value: unknown): value is OnDrain {
  return typeof value === 'function';
}
