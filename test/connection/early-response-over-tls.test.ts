import { needsPrograms } from '../harness/needs.ts';
import { labMissing } from '../lab/lab.ts';
import { LONG_ANSWER_BYTES, testEarlyAnswers } from './early-server-driver.ts';

testEarlyAnswers({
  name: 'https',
  secure: true,
  answerBytes: LONG_ANSWER_BYTES,
  answers: [{ status: 413, whenAnswered: 'go on' }],
  missing: labMissing || needsPrograms('openssl'),
});
