import type { ClientsSend } from '../fixtures/proxies/proxy-client.ts';
import { startFixture } from '../harness/processes.ts';
import { CONCURRENCY, type LoadClient } from './load-client.ts';

/** The HTTP clients that programs on Node use, in a process of their own. */
export const libraries: LoadClient = {
  names: ['undici', 'axios', 'got', 'fetch'],
  start: (origin) => {
    const clients = startFixture<ClientsSend>('proxies/proxy-client', { args: [origin, `${CONCURRENCY}`] });
    // How long they go on is the test's to say.
    const finished = clients.next('results', { limit: 180_000 });
    finished.catch(() => {});
    return {
      stop: () => clients.send({ stop: true }),
      finished,
      [Symbol.asyncDispose]: () => clients[Symbol.asyncDispose](),
    };
  },
};
