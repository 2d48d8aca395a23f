import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Proxy } from './proxy.ts';

/**
 * As docs/behind-a-proxy.md recommends it. `proxy_next_upstream error timeout` is the default: a refused connection leads
 * to the other instance, a POST that was sent is never sent again. With `max_fails=0` an instance is tried again at once.
 */
export const nginx: Proxy = configuredWith('nginx', ' max_fails=0');

/** For 10 s it does not ask an instance again that has refused it once. */
export const nginxWithItsMaxFails: Proxy = configuredWith('nginx with its default of max_fails', '');

function configuredWith(name: string, parameter: string): Proxy {
  return {
    name,
    program: 'nginx',
    configure: (folder, port, backends) => {
      const file = join(folder, 'nginx.conf');
      writeFileSync(file, configuration(folder, port, backends, parameter));
      return ['-e', logIn(folder), '-c', file];
    },
    noticed,
  };
}

function configuration(folder: string, port: number, backends: readonly number[], parameter: string): string {
  const servers = backends.map((backend) => `    server 127.0.0.1:${backend}${parameter};`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${join(folder, kind)};`,
  );
  return `
daemon off;
master_process off;
pid ${join(folder, 'pid')};
error_log ${logIn(folder)} error;
events {}
http {
  access_log off;
${temporary.join('\n')}
  upstream service {
${servers.join('\n')}
    keepalive 32;
    keepalive_timeout 1s;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`;
}

async function noticed(folder: string): Promise<string> {
  const lines = (await readFile(logIn(folder), 'utf8')).split('\n').filter((line) => line !== '');
  const refused = lines.filter((line) => line.includes('connect() failed (111: Connection refused)'));
  return `${refused.length} refused connections, ${lines.length - refused.length} other errors`;
}

function logIn(folder: string): string {
  return join(folder, 'error.log');
}
