import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { startLastcall } from '../harness/lastcall-command.ts';
import { isDemoResult } from './demo-result.ts';

suite('lastcall demo', () => {
  test('shows people that the plain close loses clients and lastcall loses none', async () => {
    await using running = startLastcall(['demo', '--clients', '100', '--stops', '1']);
    const { code, stdout } = await running.ended;
    assert.equal(code, 0, stdout);
    assert.match(stdout, /served +refused +RESET +cut +EOF +no answer +lost\n/);
    assert.match(stdout, /gracefulClose\(\) +[\d,]+ +100 +0 +0 +0 +0 +0\n/);
    assert.match(stdout, /gate \w+; \d+ queued and \d+ half-open when it shut;\n +listener closed after [\d,]+ ms; /);
    assert.match(stdout, /\nThe plain close lost \d+ clients? in 1 stop; lastcall lost nobody\.\n/);
    for (const line of stdout.split('\n')) assert(line.length <= 90, `too wide: ${line}`);
    assert(!stdout.includes('\x1b'), 'no colour where it is not a terminal');
  });

  test('has no verdict without the control: a single client is never queued behind another', async () => {
    await using running = startLastcall(['demo', '--json', '--clients', '1', '--stops', '1']);
    const { code, stdout } = await running.ended;
    const result: unknown = JSON.parse(stdout);
    assert(isDemoResult(result));
    const plain = result.ways[0]?.lost ?? 0;
    assert.equal(code, plain > 0 ? 0 : 1);
    if (plain === 0) assert.match(stdout, /No verdict: the plain close lost nobody either/);
  });
});
