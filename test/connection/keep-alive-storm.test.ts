import { ONE_BY_ONE } from './keep-alive-server-driver.ts';
import { testKeepAliveStorm } from './keep-alive-storm-tests.ts';

testKeepAliveStorm('each with one request at a time', ONE_BY_ONE);
