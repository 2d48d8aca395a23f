import { closesWell } from './suite.ts';

closesWell('fastify');
