import { closesWell } from './suite.ts';

closesWell('nest');
