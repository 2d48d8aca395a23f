import { haproxy } from './haproxy.ts';
import { hidesStops } from './suite.ts';

hidesStops(haproxy);
