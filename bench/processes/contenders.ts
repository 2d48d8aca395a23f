import { once } from 'node:events';
import type http from 'node:http';

/** A way to stop a server. Each is loaded only in the process that is measured with it. */
export const CONTENDERS = ['close', 'http-terminator', 'stoppable', 'http-graceful-shutdown', 'lastcall'] as const;

export type Contender = (typeof CONTENDERS)[number];

/** What the tables call each of them. */
export const TITLES: Readonly<Record<Contender, string>> = {
  close: 'plain server.close()',
  'http-terminator': 'http-terminator',
  stoppable: 'stoppable',
  'http-graceful-shutdown': 'http-graceful-shutdown',
  lastcall: 'lastcall',
};

/** Ends the server; resolves when the library says that it is done. */
export type Stop = () => Promise<void>;

/** Installs the contender on a server that does not listen yet, each with its own defaults. */
export async function install(contender: Contender, server: http.Server): Promise<Stop> {
  return INSTALLERS[contender](server);
}

const INSTALLERS: Readonly<Record<Contender, (server: http.Server) => Promise<Stop>>> = {
  close: async (server) => async () => {
    const closed = once(server, 'close');
    server.close();
    await closed;
  },
  'http-terminator': async (server) => {
    const { createHttpTerminator } = await import('http-terminator');
    const { terminate } = createHttpTerminator({ server });
    return terminate;
  },
  stoppable: async (server) => {
    const { default: stoppable } = await import('stoppable');
    const stoppableServer = stoppable(server);
    return async () => {
      await new Promise((resolve) => {
        stoppableServer.stop(resolve);
      });
    };
  },
  'http-graceful-shutdown': async (server) => {
    const { default: gracefulShutdown } = await import('http-graceful-shutdown');
    return gracefulShutdown(server, { forceExit: false });
  },
  lastcall: async (server) => {
    const { gracefulClose } = await import('lastcall');
    return async () => {
      await gracefulClose(server);
    };
  },
};

export function isContender(name: string | undefined): name is Contender {
  return CONTENDERS.some((contender) => contender === name);
}
