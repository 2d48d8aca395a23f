import { PRIMARY, testClusterStops } from './cluster-storm-suite.ts';

testClusterStops('rr', PRIMARY);
