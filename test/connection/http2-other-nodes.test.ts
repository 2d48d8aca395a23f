import { otherNodes } from '../harness/other-nodes.ts';
import { testHttp2Sessions } from './http2-sessions-tests.ts';

otherNodes.forEach(testHttp2Sessions);
