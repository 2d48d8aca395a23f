import assert from 'node:assert/strict';
import { relative } from 'node:path';
import { suite, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { LastCallError } from '../../src/index.ts';
import { ENVIRONMENT, optionsFromEnvironment } from '../../src/lifecycle/options/environment.ts';
import { onDrainOf } from '../../src/lifecycle/options/on-drain-module.ts';
import { completeLastCallOptions } from '../../src/lifecycle/options/options.ts';
import { fixture } from '../harness/processes.ts';

interface Row {
  readonly variable: string;
  /** A text, and what the option is then. */
  readonly right: readonly (readonly [text: string, value: unknown])[];
  readonly wrong: readonly string[];
}

const DURATIONS: Omit<Row, 'variable'> = {
  right: [
    ['0s', 0],
    ['750ms', 750],
    ['1.5s', 1_500],
    ['2m', 120_000],
  ],
  wrong: ['soon', '20', '-1s', '1h', '1 s', '.5s', '1e3ms', 's'],
};

const drainModule = pathToFileURL(fixture('register/on-drain')).href;

const ROWS: readonly Row[] = [
  ...[
    'LASTCALL_DEADLINE',
    'LASTCALL_HANDSHAKE_WAIT',
    'LASTCALL_IDLE_WAIT',
    'LASTCALL_LINGER_WAIT',
    'LASTCALL_ANSWER_WAIT',
    'LASTCALL_SPREAD',
    'LASTCALL_LAME_DUCK',
    'LASTCALL_LAME_DUCK_MIN',
    'LASTCALL_QUIET_FOR',
    'LASTCALL_LISTENER_WAIT',
  ].map((variable) => ({ variable, ...DURATIONS })),
  // Any word is read. The check of the options decides.
  { variable: 'LASTCALL_NEW_CONNECTIONS', right: [['hold', 'hold']], wrong: [] },
  { variable: 'LASTCALL_EVENT_STREAMS', right: [['none', 'none']], wrong: [] },
  {
    variable: 'LASTCALL_GATE',
    right: [
      ['shared', 'shared'],
      ['own', 'own'],
    ],
    wrong: [],
  },
  {
    variable: 'LASTCALL_SIGNALS',
    right: [
      ['SIGHUP', ['SIGHUP']],
      ['SIGTERM,SIGUSR2', ['SIGTERM', 'SIGUSR2']],
    ],
    wrong: ['TERM', 'SIGTERM SIGINT', 'SIGTERM,', '15'],
  },
  {
    variable: 'LASTCALL_ON_DRAIN',
    right: [
      [drainModule, onDrainOf(drainModule)],
      [fileURLToPath(drainModule), onDrainOf(drainModule)],
      [relative(process.cwd(), fileURLToPath(drainModule)), onDrainOf(drainModule)],
    ],
    wrong: ['./no-such-module.mjs', 'file://:', 'file://drain.mjs', 'file:///drain%2Fmjs'],
  },
  {
    variable: 'LASTCALL_STRICT',
    right: [
      ['true', true],
      ['1', true],
      ['false', false],
      ['0', false],
    ],
    wrong: ['yes', 'TRUE', '2', 'toString'],
  },
  {
    variable: 'LASTCALL_READINESS_SERVER',
    right: [
      ['9090', { port: 9_090 }],
      ['127.0.0.1:9090', { port: 9_090, host: '127.0.0.1' }],
      ['[::1]:9090', { port: 9_090, host: '::1' }],
      ['localhost:0', { port: 0, host: 'localhost' }],
    ],
    wrong: ['localhost', ':9090', '127.0.0.1:', '123456'],
  },
];

suite('the environment', () => {
  test('has a row here for each of its variables, and an option that lastCall knows', () => {
    const variables = ENVIRONMENT.map(([variable]) => variable);
    assert.deepEqual(ROWS.map(({ variable }) => variable).toSorted(), variables.toSorted());
    assert.equal(new Set(ENVIRONMENT.map(([, option]) => option)).size, ENVIRONMENT.length);
  });

  for (const { variable, right, wrong } of ROWS) {
    const [, option = ''] = ENVIRONMENT.find(([name]) => name === variable) ?? [];

    for (const [text, value] of right) {
      test(`${variable}=${text} sets ${option}`, () => {
        assert.deepEqual(optionsFromEnvironment({ PATH: '/bin', [variable]: text }), { [option]: value });
      });
    }

    for (const text of wrong) {
      test(`${variable}=${text} throws ERR_ENVIRONMENT, with what was expected and what came`, () => {
        assert.throws(
          () => optionsFromEnvironment({ [variable]: text }),
          (error) =>
            error instanceof LastCallError &&
            error.code === 'ERR_ENVIRONMENT' &&
            error.message.startsWith(`Expected \`${variable}\` to be `) &&
            error.message.endsWith(`, got \`${text}\``),
        );
      });
    }

    test(`${variable} without a value counts as not set`, () => {
      assert.deepEqual(optionsFromEnvironment({ [variable]: '' }), {});
    });
  }

  test('may set all options at once, and lastCall takes them', () => {
    const env = Object.fromEntries(ROWS.map(({ variable, right }) => [variable, right[1]?.[0] ?? right[0]?.[0]]));
    const options = optionsFromEnvironment(env);
    assert.equal(Object.keys(options).length, ENVIRONMENT.length);
    const { deadline, lameDuck, signals, strict, close } = completeLastCallOptions(options);
    assert.deepEqual(
      { deadline, lameDuck, signals, strict },
      { deadline: 750, lameDuck: 750, signals: ['SIGTERM', 'SIGUSR2'], strict: true },
    );
    const { gate, newConnections } = close;
    assert.deepEqual({ gate, newConnections }, { gate: 'own', newConnections: 'hold' });
  });

  for (const name of ['LASTCALL_DEDLINE', 'LASTCALL_', 'LASTCALL_toString']) {
    test(`causes a warning for ${name}, which is not a variable`, async () => {
      const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
      assert.deepEqual(optionsFromEnvironment({ [name]: '20s' }), {});
      const { name: kind, message } = await warned;
      assert.equal(kind, 'LastCallWarning');
      assert.ok(message.startsWith(`${name} is unknown, expected one of LASTCALL_DEADLINE, `), message);
    });
  }
});
