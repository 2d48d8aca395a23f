import { servesItsQueue, stopsWell } from './framework-command-suite.ts';
import type { FrameworkCommand } from './framework-command-driver.ts';

const command: FrameworkCommand = {
  framework: 'nest',
  args: () => ['start', '--no-shell'],
  listens: /listening/,
  receiver: 'command',
};

stopsWell('`nest start --no-shell`', command, 0);

// A signal to the command alone ends its shell, and goes no further.
const withShell: FrameworkCommand = { ...command, args: () => ['start'], receiver: 'group' };
servesItsQueue('`nest start`, with its process group', withShell, 0);
