// What users of the package can import, as types: one declaration file for each entry, without comments. The files in
// test/public-types are its snapshot. `node scripts/public-types.js` updates it, for a change that is meant.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';

const root = fileURLToPath(new URL('..', import.meta.url));

export const ENTRIES = ['index', 'register', 'channel', 'metrics'];

/**
 * The snapshot of an entry.
 * @param {string} entry
 */
export function snapshotOf(entry) {
  return join(root, 'test', 'public-types', `${entry}.d.ts.snap`);
}

/**
 * The declarations of an entry, from what `npm run build` made. Throws where they do not compile.
 * @param {string} entry
 * @returns {string}
 */
export function publicTypes(entry) {
  const folder = mkdtempSync(join(tmpdir(), 'lastcall-types-'));
  const main = join(root, 'dist', 'src', `${entry}.d.ts`);
  const target = join(folder, 'types.d.ts');
  try {
    const none = { default: { logLevel: ExtractorLogLevel.None } };
    const config = ExtractorConfig.prepare({
      packageJsonFullPath: join(root, 'package.json'),
      configObjectFullPath: undefined,
      configObject: {
        projectFolder: root,
        mainEntryPointFilePath: main,
        compiler: {
          overrideTsconfig: {
            compilerOptions: {
              target: 'es2022',
              module: 'nodenext',
              lib: ['es2023'],
              types: ['node'],
              skipLibCheck: true,
            },
            files: [main],
          },
        },
        apiReport: { enabled: false },
        docModel: { enabled: false },
        tsdocMetadata: { enabled: false },
        dtsRollup: { enabled: true, untrimmedFilePath: target },
        messages: {
          compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
          extractorMessageReporting: none,
          tsdocMessageReporting: none,
        },
      },
    });
    const { succeeded } = Extractor.invoke(config, {
      localBuild: true,
      messageCallback: (message) => {
        message.handled = message.logLevel !== ExtractorLogLevel.Error;
      },
    });
    if (!succeeded) throw new Error(`The declarations of ${entry} do not compile`);
    return withoutComments(readFileSync(target, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * No type of the package has the marks of a comment in a string.
 * @param {string} text
 */
function withoutComments(text) {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/\r/g, '')
    .replaceAll(/^import type /gm, 'import ')
    .replaceAll(/[ \t]+$/gm, '')
    .replaceAll(/\n{2,}/g, '\n')
    .trimStart();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const entry of ENTRIES) writeFileSync(snapshotOf(entry), publicTypes(entry));
}
