import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Proxy } from './proxy.ts';

/**
 * As docs/behind-a-proxy.md recommends it. `retries 3` and `retry-on conn-failure` are the defaults: only a request that
 * was not sent is tried again. `option redispatch 1` tries it at another instance.
 */
export const haproxy: Proxy = configuredWith('HAProxy', 'option redispatch 1', '500ms');

/**
 * The same, but that its checks ask whether the instance is ready. `timeout check` matters then: without it an instance that
 * is slower than the interval once is taken for one that is not ready.
 */
export const haproxyThatAsks: Proxy = configuredWith(
  'HAProxy that asks for /ready',
  'option redispatch 1',
  '200ms',
  'option httpchk GET /ready',
);

/** The same, but that it hears late of an instance that is gone: it meets the refusals. */
export const haproxyWithRareChecks: Proxy = configuredWith('HAProxy with rare checks', 'option redispatch 1', '10s');

/** Asks the instance that has refused it again and again, a second apart, and then answers 503. */
export const haproxyWithoutRedispatch: Proxy = configuredWith(
  'HAProxy without redispatch',
  'no option redispatch',
  '10s',
);

interface Settings {
  readonly folder: string;
  readonly port: number;
  readonly backends: readonly number[];
  readonly redispatch: string;
  /** Between two health checks. */
  readonly interval: string;
  /** What a check asks; where it is empty, a connection is enough. */
  readonly asks: string;
}

function configuredWith(name: string, redispatch: string, interval: string, asks = ''): Proxy {
  return {
    name,
    program: 'haproxy',
    configure: (folder, port, backends) => {
      const file = join(folder, 'haproxy.cfg');
      writeFileSync(file, configuration({ folder, port, backends, redispatch, interval, asks }));
      return ['-db', '-f', file];
    },
    noticed,
  };
}

function configuration({ folder, port, backends, redispatch, interval, asks }: Settings): string {
  const servers = backends.map((backend, index) => `  server instance${index} 127.0.0.1:${backend}`);
  return `
global
  stats socket ${socketIn(folder)}

defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout check 5s
  retries 3
  ${redispatch}

listen service
  bind 127.0.0.1:${port}
  balance roundrobin
  ${asks}
  default-server check inter ${interval} fall 1 rise 2 pool-purge-delay 1s
${servers.join('\n')}
`;
}

async function noticed(folder: string): Promise<string> {
  const rows = (await ask(socketIn(folder), 'show stat')).split('\n').map((row) => row.replace('# ', '').split(','));
  const [names = []] = rows;
  const backend = rows.find((row) => row[1] === 'BACKEND') ?? [];
  const figures = { wretr: 'retries', wredis: 'redispatches', econ: 'failed connections', eresp: 'broken answers' };
  return Object.entries(figures)
    .map(([field, title]) => `${backend[names.indexOf(field)]} ${title}`)
    .join(', ');
}

function socketIn(folder: string): string {
  return join(folder, 'stats');
}

async function ask(path: string, command: string): Promise<string> {
  const socket = net.connect(path);
  await once(socket, 'connect');
  socket.write(`${command}\n`);
  return text(socket);
}
