/**
 * `node --import lastcall/register app.js` stops every server of a program as `lastCall('all')` does, without a change to the
 * program. Options come from the environment (docs/register.md). Nothing changes for a program without a server, for a program
 * that calls `lastCall` itself, and for worker threads.
 */
import { registerService } from './lifecycle/register.ts';
import { prepareServers } from './prepare.ts';

prepareServers();
registerService();
