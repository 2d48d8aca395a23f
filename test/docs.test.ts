import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { completeConnectOptions, CONNECT_OPTION_NAMES } from '../src/channel/client/options.ts';
import { completeLimits, LIMIT_NAMES } from '../src/channel/link/limits.ts';
import { SERVE_OPTION_NAMES } from '../src/channel/server/options.ts';
import { completeOptions } from '../src/close/check-options.ts';
import { ERROR_CODES } from '../src/errors.ts';
import { ENVIRONMENT } from '../src/lifecycle/environment.ts';
import { LAST_CALL_OPTION_NAMES } from '../src/lifecycle/options.ts';

const ROOT = findRoot(path.dirname(fileURLToPath(import.meta.url)));
const DOCS = readdirSync(path.join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.md'),
);
const PAGES = ['README.md', 'CONTRIBUTING.md', ...DOCS.map((name) => `docs/${name}`)];

/** The folder of the package: this file is two levels below it once built. */
function findRoot(folder: string): string {
  const manifest = path.join(folder, 'package.json');
  if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'lastcall') return folder;
  const above = path.dirname(folder);
  assert.notEqual(above, folder, 'no package.json of lastcall above this file');
  return findRoot(above);
}

function read(page: string): string {
  return readFileSync(path.join(ROOT, page), 'utf8');
}

interface CodeBlock {
  readonly page: string;
  readonly language: string;
  readonly text: string;
}

function codeBlocksOf(page: string): readonly CodeBlock[] {
  const blocks = read(page).matchAll(/^```(\w*)\n(.*?)^```$/gms);
  return [...blocks].map(([, language = '', text = '']) => ({ page, language, text }));
}

/** A page without its code blocks, where a # begins a comment and brackets are no links. */
function proseOf(page: string): string {
  return read(page).replaceAll(/^```.*?^```$/gms, '');
}

function headingsOf(page: string): readonly string[] {
  return [...proseOf(page).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => heading);
}

/** The anchor that a heading gets where Markdown is shown. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

/** The names between the braces of an import or export, as they are called on the left side. */
function namesIn(list: string): readonly string[] {
  return list
    .split(',')
    .map(
      (name) =>
        name
          .trim()
          .replace(/^type /, '')
          .split(' as ', 1)[0] ?? '',
    )
    .filter((name) => name !== '');
}

/** The names that an entry exports, its types included. */
function exportedNames(entry: string): ReadonlySet<string> {
  const lists = read(`src/${entry}.ts`).matchAll(/^export (?:type )?\{([^}]+)\}/gm);
  return new Set([...lists].flatMap(([, list = '']) => namesIn(list)));
}

/** Every name that a close accepts: an unknown one is answered with the list. */
function acceptedOptions(): readonly string[] {
  try {
    Reflect.apply(completeOptions, undefined, [{ 'no such option': true }]);
  } catch (error) {
    const list = /made of (.+), got `no such option`$/.exec(error instanceof Error ? error.message : '')?.[1];
    if (list !== undefined) return list.split(', ');
  }
  return assert.fail('an unknown option was not answered with the list of those there are');
}

/** A default as the table shows it. */
function defaultOf(option: string): string {
  const value: unknown = Reflect.get(completeOptions(), option);
  if (typeof value === 'number') return `\`${value.toLocaleString('en').replaceAll(',', '_')}\``;
  return typeof value === 'string' ? `\`'${value}'\`` : 'none';
}

function cellsOf(row: string): readonly string[] {
  return row
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** The first two columns of the table with this head. */
function tableOf(page: string, head: readonly string[]): readonly (readonly string[])[] {
  return tablesOf(page, head)[0] ?? assert.fail(`${page} has no table of ${head.join(', ')}`);
}

/** The same of all tables with it. */
function tablesOf(page: string, head: readonly string[]): readonly (readonly (readonly string[])[])[] {
  const lines = proseOf(page).split('\n');
  return lines.flatMap((line, start) => {
    if (cellsOf(line).join() !== head.join()) return [];
    const rows = lines.slice(start + 2);
    const end = rows.findIndex((row) => !row.startsWith('|'));
    return [rows.slice(0, end).map((row) => cellsOf(row).slice(0, 2))];
  });
}

/** What the first column names. */
function namesOf(table: readonly (readonly string[])[] = []): readonly string[] {
  return table.map(([name = '']) => name.replaceAll('`', ''));
}

function numberText(value: number): string {
  return `\`${value.toLocaleString('en').replaceAll(',', '_')}\``;
}

describe('the documentation', () => {
  it('has a heading for every error code, in docs/errors.md, and for no other', () => {
    const [title, ...codes] = headingsOf('docs/errors.md');
    assert.equal(title, 'Errors');
    assert.deepEqual(codes, [...ERROR_CODES]);
  });

  it('imports in its examples only what the package exports', () => {
    const exported = { lastcall: exportedNames('index'), 'lastcall/channel': exportedNames('channel') };
    assert(
      exported.lastcall.has('gracefulClose') && exported.lastcall.has('CloseReport'),
      'src/index.ts was not understood',
    );
    const imports = PAGES.flatMap(codeBlocksOf)
      .filter(({ language }) => ['ts', 'js', 'mjs'].includes(language))
      .flatMap(({ page, text }) =>
        [...text.matchAll(/import (?:type )?\{([^}]+)\} from '(lastcall(?:\/channel)?)'/g)].map(
          ([, list = '', entry = '']) => ({ page, list, entry }),
        ),
      );
    for (const entry of ['lastcall', 'lastcall/channel'] as const) {
      const ofEntry = imports.filter((one) => one.entry === entry);
      assert(
        ofEntry.some(({ page }) => page === 'README.md'),
        `the README has no example of ${entry}`,
      );
      for (const { page, list } of ofEntry) {
        for (const name of namesIn(list))
          assert(exported[entry].has(name), `${page}: ${entry} does not export ${name}`);
      }
    }
  });

  it('mentions no other entry of the package', () => {
    const { exports } = JSON.parse(read('package.json'));
    const entries = PAGES.flatMap(codeBlocksOf).flatMap(({ text }) => [...text.matchAll(/from '(lastcall[^']*)'/g)]);
    for (const [, entry = ''] of entries) assert(entry.replace('lastcall', '.') in exports, entry);
  });

  for (const page of PAGES) {
    it(`links to what is there: ${page}`, () => {
      for (const [, target = ''] of proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [file = '', anchor] = target.split('#', 2);
        const linked = file === '' ? page : path.join(path.dirname(page), file);
        assert(existsSync(path.join(ROOT, linked)), `no ${linked} for ${target}`);
        if (anchor !== undefined) assert(headingsOf(linked).map(anchorOf).includes(anchor), `no heading for ${target}`);
      }
    });
  }

  const frameworks = DOCS.filter((name) => path.dirname(name) === 'frameworks').map((name) =>
    path.basename(name, '.md'),
  );

  it('has a page for each framework that has an example', () => {
    const names = ['apollo', 'express', 'fastify', 'grpc', 'hono', 'http', 'koa', 'nest', 'socket-io', 'websocket'];
    assert.deepEqual(frameworks.toSorted(), names);
  });

  for (const name of frameworks) {
    it(`shows on the page of ${name} the very code of its example`, () => {
      const [shown] = codeBlocksOf(`docs/frameworks/${name}.md`);
      assert.equal(shown?.text, read(`examples/${name}/server.js`));
    });
  }

  it('lists the options that a close accepts, with their defaults', () => {
    assert.deepEqual(
      tableOf('docs/options.md', ['option', 'default', 'meaning']),
      acceptedOptions().map((option) => [`\`${option}\``, defaultOf(option)]),
    );
    // `gate` has another name in the complete options: left out, the listeners are not taken for the process's own.
    assert.equal(completeOptions().ownGate, false);
  });

  it('lists the options of a channel, with their defaults', () => {
    const [both, serving, connecting] = tablesOf('docs/channel.md', ['option', 'default', 'meaning']);
    const limits = completeLimits({});
    assert.deepEqual(
      both,
      LIMIT_NAMES.map((name) => {
        const value: number = Reflect.get(limits, name);
        return [`\`${name}\``, numberText(value)];
      }),
    );
    assert.deepEqual(namesOf(serving), [...SERVE_OPTION_NAMES]);
    assert.deepEqual(namesOf(connecting), [...CONNECT_OPTION_NAMES]);
    const { maxSendings, giveUpAfter } = completeConnectOptions({ port: 1 });
    assert.deepEqual(
      [...(connecting ?? [])].filter(([name = '']) => /giveUpAfter|maxSendings/.test(name)).map(([, value]) => value),
      [giveUpAfter, maxSendings].map(numberText),
    );
  });

  it('lists the options that lastCall has beside those of a close', () => {
    const own = LAST_CALL_OPTION_NAMES.filter((name) => !acceptedOptions().includes(name));
    const rows = tableOf('docs/lifecycle.md', ['option', 'default', 'meaning']).map(([option = '']) => option);
    assert.deepEqual(
      rows,
      ['deadline', ...own].map((option) => `\`${option}\``),
    );
  });

  it('lists the variables that register reads, with the options that they set', () => {
    const rows = tableOf('docs/register.md', ['variable', 'option', 'example']).map((cells) =>
      cells.map((cell) => /`(\w+)`/.exec(cell)?.[1]),
    );
    assert.deepEqual(new Map(rows as [string, string][]), new Map(ENVIRONMENT));
  });

  it('has in the README each promise that the quick level of the tests names', async () => {
    const quick: { QUICK: readonly { readonly promise: string }[] } = await import(
      pathToFileURL(path.join(ROOT, 'scripts/tests/quick.js')).href
    );
    const readme = read('README.md').replaceAll(/\s+/g, ' ');
    const unknown = quick.QUICK.map(({ promise }) => promise).filter((promise) => !readme.includes(promise));
    assert.deepEqual(unknown, []);
    assert.ok(quick.QUICK.length > 10);
  });

  it('shows no message of ERR_OPTION but a real one', () => {
    const [shown] = codeBlocksOf('docs/errors.md').filter(({ language }) => language === 'text');
    assert.throws(() => Reflect.apply(completeOptions, undefined, [{ deadline: 'soon' }]), {
      message: shown?.text.trim(),
    });
  });
});
