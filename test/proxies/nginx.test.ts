import { nginx } from './nginx.ts';
import { hidesStops } from './suite.ts';

hidesStops(nginx);
