import { servesItsQueue, stopsWell } from './framework-command-suite.ts';
import type { FrameworkCommand } from './framework-command-driver.ts';

const command: FrameworkCommand = {
  framework: 'nest',
  args: () => ['start', '--no-shell'],
  listens: /listening/,
  told: 'command',
};

stopsWell('`nest start --no-shell`', command, 0);

// Of the command alone the signal ends its shell, and goes no further.
const withShell: FrameworkCommand = { ...command, args: () => ['start'], told: 'group' };
servesItsQueue('`nest start`, with its process group', withShell, 0);
