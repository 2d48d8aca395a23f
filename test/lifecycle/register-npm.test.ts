import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { makeFolder } from '../harness/folders.ts';
import { startCommand } from '../harness/processes.ts';
import { REGISTER } from '../harness/start-service.ts';
import type { Ended } from '../harness/observed-program.ts';

suite('npm does the same with register in NODE_OPTIONS as without', { concurrency: 2 }, () => {
  const calls = [['--version'], ['run', 'says'], ['run', 'fails'], ['run', 'is-missing']];
  for (const args of calls) {
    test(`npm ${args.join(' ')}`, async () => {
      using folder = makeFolder();
      const scripts = { says: 'node -e "console.log(process.argv.length)"', fails: 'node -e "process.exit(3)"' };
      writeFileSync(
        join(folder.path, 'package.json'),
        JSON.stringify({ name: 'a-service', version: '1.0.0', scripts }),
      );
      const under = await runNpm(folder.path, args, `--import=${REGISTER}`);
      const without = await runNpm(folder.path, args, '');
      assert.deepEqual(under, without);
      assert.notEqual(without.stdout + without.stderr, '');
    });
  }
});

async function runNpm(
  cwd: string,
  args: readonly string[],
  options: string,
): Promise<Omit<Ended, 'signal'> & { readonly stdout: string }> {
  const env = { NODE_OPTIONS: options, npm_config_update_notifier: 'false', npm_config_loglevel: 'error' };
  await using npm = startCommand(['npm', ...args], { cwd, env });
  const { code, stdout, stderr } = await npm.ended;
  // The name of its log file has the time in it.
  return { code, stdout, stderr: stderr.replaceAll(/^.*A complete log of this run.*$/gm, '') };
}
