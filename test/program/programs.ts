import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { needsPrograms } from '../harness/needs.ts';
import { fixture } from '../harness/processes.ts';

/** A server in some language, with the usual way to start and stop it. */
export interface ForeignProgram {
  readonly title: string;
  /** The command that must be installed. */
  readonly needs: string;
  /** The signal that stops it gracefully. */
  readonly signal: NodeJS.Signals;
  /** Its exit code after that signal: its own, or 128 plus the number of a signal that it does not handle. */
  readonly exitCode: number;
  /** `folder` belongs to the test, and is deleted after it. */
  readonly line: (at: { readonly host: string; readonly port: number; readonly folder: string }) => readonly string[];
}

const SOURCES = fileURLToPath(new URL('../../../test/program/programs/', import.meta.url));
const WITHOUT_HANDLER = fixture('program/node-without-handler');
// Debian's Python has the modules of Debian's packages.
const PYTHON = '/usr/bin/python3';

export const PROGRAMS: readonly ForeignProgram[] = [
  {
    title: 'gunicorn with four workers',
    needs: '/usr/bin/gunicorn',
    signal: 'SIGTERM',
    exitCode: 0,
    line: ({ host, port }) => {
      const options = ['--chdir', SOURCES, '-w', '4', '-b', `${host}:${port}`, '--log-level', 'critical'];
      return ['/usr/bin/gunicorn', ...options, 'wsgi_app:app'];
    },
  },
  {
    title: 'nginx with two workers',
    needs: '/usr/sbin/nginx',
    signal: 'SIGQUIT',
    exitCode: 0,
    line: ({ host, port, folder }) => {
      const file = join(folder, 'nginx.conf');
      writeFileSync(
        file,
        `worker_processes 2; daemon off; pid ${folder}/nginx.pid; error_log /dev/null;
         events { worker_connections 1024; }
         http { access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
           fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
           server { listen ${host}:${port} backlog=1024; location / { return 200 "served\\n"; } } }`,
      );
      return ['/usr/sbin/nginx', '-e', '/dev/null', '-c', file];
    },
  },
  {
    title: 'a Go server',
    needs: '/usr/bin/go',
    signal: 'SIGTERM',
    exitCode: 0,
    line: ({ host, port }) => [buildGo(), `${host}:${port}`],
  },
  {
    title: 'HAProxy',
    needs: '/usr/sbin/haproxy',
    signal: 'SIGUSR1',
    exitCode: 0,
    line: ({ host, port, folder }) => {
      const file = join(folder, 'haproxy.cfg');
      writeFileSync(
        file,
        `global
  maxconn 2000
  nbthread 1
defaults
  mode http
  timeout client 10s
  timeout connect 5s
  timeout server 10s
frontend all
  bind ${host}:${port} backlog 1024
  http-request return status 200 content-type text/plain string "served"
`,
      );
      return ['/usr/sbin/haproxy', '-q', '-db', '-f', file];
    },
  },
  {
    title: 'an asyncio server',
    needs: PYTHON,
    signal: 'SIGTERM',
    exitCode: 0,
    line: ({ host, port }) => [PYTHON, join(SOURCES, 'asyncio_server.py'), String(port), host],
  },
  {
    title: 'uvicorn',
    needs: '/usr/bin/uvicorn',
    signal: 'SIGTERM',
    exitCode: 0,
    line: ({ host, port }) => {
      const options = ['--app-dir', SOURCES, '--host', host, '--port', String(port), '--log-level', 'critical'];
      return ['/usr/bin/uvicorn', ...options, 'asgi_app:app'];
    },
  },
  {
    title: 'a Node server without a handler',
    needs: process.execPath,
    signal: 'SIGTERM',
    exitCode: 143,
    line: ({ host, port }) => [process.execPath, WITHOUT_HANDLER, String(port), host],
  },
];

/** The titles of programs that need no package beside their language. */
export const WITHOUT_PACKAGES: readonly string[] = ['a Node server without a handler', 'an asyncio server'];

/** Why to skip a test that needs the program. */
export function whyMissing({ needs }: ForeignProgram): string | false {
  return needsPrograms(needs);
}

let built: string | undefined;

/** Builds once per test process, with Go's own cache and no download. Synchronous, because a command line needs the result. */
function buildGo(): string {
  if (built !== undefined) return built;
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-go-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const output = join(folder, 'server');
  const env = { ...process.env, GOFLAGS: '', GO111MODULE: 'off', CGO_ENABLED: '0' };
  const { status, stderr } = spawnSync('/usr/bin/go', ['build', '-o', output, join(SOURCES, 'server.go')], {
    encoding: 'utf8',
    env,
  });
  if (status !== 0) throw new Error(`go build failed: ${stderr}`);
  built = output;
  return output;
}
