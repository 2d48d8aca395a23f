import { closesWell } from './suite.ts';

closesWell('http');
