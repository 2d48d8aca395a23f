import { stopsWell } from './framework-command-suite.ts';
import type { FrameworkCommand } from './framework-command-driver.ts';

const command: FrameworkCommand = {
  framework: 'fastify',
  args: (port) => ['start', '--port', `${port}`, '--address', '127.0.0.1', '--log-level', 'info', 'app.js'],
  listens: /Server listening/,
  receiver: 'command',
};

stopsWell('`fastify start`', command, 0);
