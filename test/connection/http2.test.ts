import { testHttp2Sessions } from './http2-sessions-tests.ts';

testHttp2Sessions({ title: `Node ${process.versions.node}`, path: process.execPath, missing: false });
