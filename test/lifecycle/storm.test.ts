import { NEW_CONNECTIONS, testStops, WITHOUT_LISTENER } from './storm-suite.ts';

testStops(NEW_CONNECTIONS, WITHOUT_LISTENER);
