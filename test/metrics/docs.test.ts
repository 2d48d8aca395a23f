import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { METRIC_NAMES } from '../../src/metrics/names.ts';
import { fixture, startCommand, type TestProcess } from '../harness/processes.ts';
import { within } from '../harness/wait.ts';
import { parseScrape } from './scrape.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const OBSERVER = pathToFileURL(fixture('frameworks/example-observer')).href;
const PAGE = readFileSync(`${ROOT}docs/metrics.md`, 'utf8');
const [HTTP, EXPRESS, LOG] = [...PAGE.matchAll(/^```js\n(.*?)^```$/gms)].map(([, program]) => program!);

suite('docs/metrics.md', { timeout: 180_000 }, () => {
  for (const [title, program] of [
    ['the program', HTTP],
    ['the program with Express', EXPRESS],
  ] as const) {
    test(`${title} serves every metric, and the log shows its close`, async () => {
      await using running = start(program!);
      const response = await get(await portOf(running), '/metrics');
      assert.match(response.headers['content-type'] ?? '', /^text\/plain; version=0.0.4/);
      const series = parseScrape(await text(response));
      // The connection of the scrape itself.
      assert.equal(series.get('lastcall_connections{protocol="http/1.1"}'), 1);
      assert.equal(series.get('lastcall_connections_cut_total{protocol="http/1.1",reason="deadline"}'), 0);
      running.signal('SIGTERM');
      const { code, signal, stderr } = await within('the end of the program', running.ended);
      assert.deepEqual({ code, signal }, { code: 0, signal: null });
      const events = stderr.trimEnd().split('\n');
      assert.deepEqual(
        events.map((line) => JSON.parse(line).event),
        ['service', 'service', 'service', 'gate shut', 'listener closed', 'all closed', 'service'],
      );
      const { time, duration, ended, ...facts } = JSON.parse(events[5]!);
      assert.deepEqual(facts, { event: 'all closed', outcome: 'complete', cut: 0 });
      assert.ok(Date.parse(time) > 0 && duration >= 0 && ended >= 0);
    });
  }

  test('shows a log of ten lines', () => assert.equal(LOG!.trimEnd().split('\n').length, 10));

  test('has a row for every metric, and for no other', () => {
    const rows = [...PAGE.matchAll(/^\| `(lastcall_\w+)`/gm)].map(([, name]) => name);
    assert.deepEqual(rows, Object.values(METRIC_NAMES));
  });
});

/** Runs one of the page's programs with its log before it, as a user would. */
function start(program: string): TestProcess {
  const before = [OBSERVER, `data:text/javascript,${encodeURIComponent(LOG!)}`].flatMap((url) => ['--import', url]);
  return startCommand([process.execPath, ...before, '--input-type=module', '--eval', program], {
    cwd: ROOT,
    env: { PORT: '0' },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
}

/** The port where it serves, when it can be stopped too. */
async function portOf(running: TestProcess): Promise<number> {
  return Number(Reflect.get(await running.messages.take('its port', (message) => 'port' in message), 'port'));
}

/** On a connection that ends with the response. */
async function get(port: number, path: string): Promise<http.IncomingMessage> {
  const request = http.get({ host: '127.0.0.1', port, path, agent: false });
  const [response] = await within('a response', once(request, 'response'));
  return response;
}
