import { stopsWell } from './framework-command-suite.ts';
import type { FrameworkCommand } from './framework-command-driver.ts';

const command: FrameworkCommand = {
  framework: 'next',
  args: (port) => ['start', '--port', `${port}`, '--hostname', '127.0.0.1'],
  listens: /Ready in/,
  receiver: 'command',
};

// The exit code of Next's own listener of SIGTERM.
stopsWell('`next start`', command, 143);
