import { FORKS_ANEW, GROUP, PRIMARY, testClusterStops } from './cluster-storm-suite.ts';

testClusterStops('rr', PRIMARY, [FORKS_ANEW]);
testClusterStops('rr', GROUP);
testClusterStops('none', PRIMARY);
testClusterStops('none', GROUP);
