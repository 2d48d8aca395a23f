// The promise of the README for any program, with its control, for programs that need only their language.
import { suiteOnLoopback } from './loopback-suite.ts';
import { PROGRAMS, WITHOUT_PACKAGES } from './programs.ts';

for (const program of PROGRAMS) if (WITHOUT_PACKAGES.includes(program.title)) suiteOnLoopback(program);
