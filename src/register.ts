/**
 * `node --import lastcall/register app.js`: every server that the program makes is stopped as by `lastCall('all')`, without a
 * change to it. Options come from the environment (docs/register.md). A program without a server is left as it is, as is one
 * that calls `lastCall` itself, and every thread but the main one.
 */
import { registerService } from './lifecycle/registered.ts';
import { prepareServers } from './prepare.ts';

prepareServers();
registerService();
