// Popular servers, each with its own way to stop. node-and-python.test.ts has the programs that need no package.
import { suiteOnLoopback } from './loopback-suite.ts';
import { PROGRAMS, WITHOUT_PACKAGES } from './programs.ts';

for (const program of PROGRAMS) if (!WITHOUT_PACKAGES.includes(program.title)) suiteOnLoopback(program);
