import { GROUP, PRIMARY, testClusterStops } from './cluster-storm-suite.ts';

testClusterStops('rr', GROUP);
testClusterStops('none', PRIMARY);
testClusterStops('none', GROUP);
