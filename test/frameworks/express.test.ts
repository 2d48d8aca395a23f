import { closesWell } from './suite.ts';

closesWell('express');
