// The rooms of src/, and which room may use which. dependency-cruiser checks it (npm run check), type imports included.

/** Each room, and the rooms that its files may import from beside their own. A room includes its folders. */
const ROOMS = {
  entries: ['lifecycle', 'servers', 'connection', 'listener', 'close', 'channel', 'metrics', 'node', 'basics'],
  cli: ['entries', 'program', 'storm', 'linux', 'basics'],
  program: ['listener', 'close', 'linux', 'node', 'basics'],
  metrics: ['lifecycle', 'connection', 'listener', 'close', 'node', 'basics'],
  lifecycle: ['servers', 'connection', 'listener', 'close', 'linux', 'node', 'basics'],
  servers: ['connection', 'listener', 'close', 'linux', 'node', 'basics'],
  channel: ['connection', 'basics'],
  connection: ['close', 'linux', 'node', 'basics'],
  listener: ['close', 'linux', 'node', 'basics'],
  close: ['node', 'basics'],
  storm: ['basics'],
  node: [],
  linux: ['basics'],
  basics: ['node'],
};

/** The files beside the folders. */
const FILES = {
  entries: 'index|register|channel|metrics|prepare',
  basics: 'counted|errors|option-checks|durations|pace|run-channel|signals',
};

/** @param {string} room */
const pathOf = (room) => (room in FILES ? `^src/(${FILES[room]})\\.ts$` : `^src/${room}/`);

module.exports = {
  forbidden: [
    { name: 'no circle', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(ROOMS).map(([room, uses]) => ({
      name: `${room} uses ${uses.length === 0 ? 'no other room' : uses.join(', ')} only`,
      severity: 'error',
      from: { path: pathOf(room) },
      to: { path: '^src/', pathNot: [room, ...uses].map(pathOf) },
    })),
  ],
  options: {
    tsPreCompilationDeps: true,
    parser: 'swc',
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
  },
};
