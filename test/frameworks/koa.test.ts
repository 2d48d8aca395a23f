import { closesWell } from './suite.ts';

closesWell('koa');
