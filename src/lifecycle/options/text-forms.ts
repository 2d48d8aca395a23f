import { DURATION_FORM, readDuration } from '../../durations.ts';

/** How a variable of the environment writes an option. */
export interface TextForm {
  /** What the text is expected to be. */
  readonly expected: string;
  /** The value of the option; undefined for any other text. */
  readonly read: (text: string) => unknown;
}

export const DURATION: TextForm = { expected: DURATION_FORM, read: readDuration };

const SWITCHES: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

export const SWITCH: TextForm = {
  expected: '`true` or `false`',
  read: (text) => SWITCHES.get(text),
};

export const SIGNALS: TextForm = {
  expected: 'signals such as `SIGTERM,SIGINT`',
  read: (text) => (/^SIG[A-Z0-9]+(, ?SIG[A-Z0-9]+)*$/.test(text) ? text.split(/, ?/) : undefined),
};

export const ADDRESS: TextForm = {
  expected: 'a port or an address such as `127.0.0.1:9090`',
  read: (text) => {
    const [, host, port = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
    if (port === '') return undefined;
    return host === undefined ? { port: Number(port) } : { port: Number(port), host: host.replaceAll(/^\[|\]$/g, '') };
  },
};

/** Any text: the check of the option decides. */
export const WORD: TextForm = { expected: 'a word', read: (text) => text };
