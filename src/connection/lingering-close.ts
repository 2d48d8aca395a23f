import type http from 'node:http';
import type https from 'node:https';

export function lingeringClose(_server: http.Server | https.Server): void {}
