import { curl } from './curl.ts';
import type { Scope } from '../harness/scope.ts';
import { within } from '../harness/wait.ts';
import { libraries } from './libraries.ts';
import type { LoadClient } from './load-client.ts';
import { wrk } from './wrk.ts';

const CLIENTS = [libraries, curl, wrk] as const;

/** The paths that are asked for, each by one of the clients. */
export const PATHS: readonly string[] = CLIENTS.flatMap(({ names }) => names.map((name) => `/${name}`));

/** The programs that they need besides Node. */
export const PROGRAMS: readonly string[] = ['curl', 'wrk'];

/** What all of them saw. */
export interface MixedResult {
  readonly requests: number;
  /** Each with the client's name. */
  readonly errors: readonly string[];
}

/** Starts all clients, or these, at once, until the scope ends or the function that it returns is called. */
export function startLoad(
  scope: Scope,
  origin: string,
  folder: string,
  clients: readonly LoadClient[] = CLIENTS,
): () => Promise<MixedResult> {
  const loads = clients.map((client) => scope.use(client.start(origin, folder)));
  return async () => {
    for (const load of loads) load.stop();
    const results = (await within('the clients to finish', Promise.all(loads.map(({ finished }) => finished)))).flatMap(
      Object.entries,
    );
    return {
      requests: results.reduce((sum, [, { requests }]) => sum + requests, 0),
      errors: results.flatMap(([name, { errors }]) => errors.map((error: string) => `${name}: ${error}`)),
    };
  };
}
