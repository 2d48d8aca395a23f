// Servers that have a signal of their own for a graceful stop, each with one process that serves.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface StopSignalProgram {
  readonly title: string;
  readonly needs: string;
  readonly signal: NodeJS.Signals;
  /** Whether the process that was started serves itself. */
  readonly servesItself: boolean;
  readonly request: Buffer;
  readonly served: RegExp;
  readonly line: (port: number, folder: string) => readonly string[];
}

const HTTP = Buffer.from('GET / HTTP/1.1\r\nHost: program\r\nConnection: close\r\n\r\n');

function write(folder: string, name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** A FastCGI request for the ping page of php-fpm (FastCGI specification, sections 3 and 5). */
function pingRequest(): Buffer {
  const record = (type: number, body: Buffer): Buffer =>
    Buffer.concat([Buffer.from([1, type, 0, 1, body.length >> 8, body.length & 0xff, 0, 0]), body]);
  const pair = (name: string, value: string): Buffer =>
    Buffer.concat([Buffer.from([name.length, value.length]), Buffer.from(name + value)]);
  const names = ['SCRIPT_NAME', 'SCRIPT_FILENAME', 'REQUEST_URI'];
  const params = Buffer.concat([pair('REQUEST_METHOD', 'GET'), ...names.map((name) => pair(name, '/ping'))]);
  const begin = record(1, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]));
  return Buffer.concat([begin, record(4, params), record(4, Buffer.alloc(0)), record(5, Buffer.alloc(0))]);
}

export const APACHE: StopSignalProgram = {
  title: 'Apache',
  needs: '/usr/sbin/apache2',
  signal: 'SIGWINCH',
  servesItself: false,
  request: HTTP,
  served: /served/,
  line: (port, folder) => {
    // Its processes run as another user.
    chmodSync(folder, 0o755);
    write(folder, 'index.html', 'served\n');
    const modules = ['mpm_prefork', 'authz_core', 'dir'];
    const loads = modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`);
    const settings = [
      `ServerRoot ${folder}`,
      `PidFile ${folder}/pid`,
      'ServerName program',
      `Listen 127.0.0.1:${port}`,
      ...loads,
      `ErrorLog ${folder}/error.log`,
      ...['StartServers', 'MinSpareServers', 'MaxSpareServers', 'MaxRequestWorkers'].map((name) => `${name} 1`),
      'User www-data',
      'Group www-data',
      `DocumentRoot ${folder}`,
      'DirectoryIndex index.html',
    ];
    return ['/usr/sbin/apache2', '-DFOREGROUND', '-f', write(folder, 'apache.conf', `${settings.join('\n')}\n`)];
  },
};

export const STOP_SIGNAL_PROGRAMS: readonly StopSignalProgram[] = [
  {
    title: 'nginx',
    needs: '/usr/sbin/nginx',
    signal: 'SIGQUIT',
    servesItself: false,
    request: HTTP,
    served: /served/,
    line: (port, folder) => {
      const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (name) => `${name}_temp_path ${folder}/${name};`,
      );
      const text = `worker_processes 1; daemon off; pid ${folder}/pid; error_log /dev/null; events {}
        http { access_log off; ${paths.join(' ')}
        server { listen 127.0.0.1:${port}; location / { return 200 "served\\n"; } } }`;
      return ['/usr/sbin/nginx', '-e', '/dev/null', '-c', write(folder, 'nginx.conf', text)];
    },
  },
  {
    title: 'HAProxy',
    needs: '/usr/sbin/haproxy',
    signal: 'SIGUSR1',
    servesItself: true,
    request: HTTP,
    served: /served/,
    line: (port, folder) => {
      const text = `global
 maxconn 500
 nbthread 1
defaults
 mode http
 timeout client 9s
 timeout server 9s
 timeout connect 3s
frontend all
 bind 127.0.0.1:${port}
 http-request return status 200 content-type text/plain string served
`;
      return ['/usr/sbin/haproxy', '-q', '-db', '-f', write(folder, 'haproxy.cfg', text)];
    },
  },
  {
    title: 'php-fpm',
    needs: '/usr/sbin/php-fpm8.2',
    signal: 'SIGQUIT',
    servesItself: false,
    request: pingRequest(),
    served: /pong/,
    line: (port, folder) => {
      const text = `[global]
error_log = /dev/null
daemonize = no
[pool]
user = root
listen = 127.0.0.1:${port}
pm = static
pm.max_children = 1
ping.path = /ping
`;
      return ['/usr/sbin/php-fpm8.2', '-F', '-R', '-y', write(folder, 'fpm.conf', text)];
    },
  },
  APACHE,
];
