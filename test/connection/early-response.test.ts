import { labMissing } from '../lab/lab.ts';
import { ANSWER_BYTES, testEarlyAnswers } from './early-server-driver.ts';

testEarlyAnswers({
  name: 'http',
  secure: false,
  answerBytes: ANSWER_BYTES,
  answers: [
    { status: 413, whenAnswered: 'go on' },
    { status: 401, whenAnswered: 'stop' },
    { status: 307, whenAnswered: 'stop' },
  ],
  missing: labMissing,
});
