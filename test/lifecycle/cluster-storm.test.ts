import { PLAIN_WAYS, PRIMARY, testClusterStops } from './cluster-storm-suite.ts';

testClusterStops('rr', PRIMARY, PLAIN_WAYS);
