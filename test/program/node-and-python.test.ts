// Programs that need nothing but their language: what README says of any program, with its control.
import { suiteOnLoopback } from './loopback-suite.ts';
import { PROGRAMS, WITHOUT_PACKAGES } from './programs.ts';

for (const program of PROGRAMS) if (WITHOUT_PACKAGES.includes(program.title)) suiteOnLoopback(program);
