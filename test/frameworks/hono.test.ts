import { closesWell } from './suite.ts';

closesWell('hono');
