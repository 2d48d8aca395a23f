// A reporter of node:test for our own runner: one JSON document a line. Errors are text, for they cannot travel otherwise.
import { inspect } from 'node:util';

/** What a suite fails with when only its tests have failed: they are reported by themselves. */
const OF_ITS_TESTS = 'subtestsFailed';
/** What a test fails with when the suite around it is over: that one says why. */
const OF_ITS_PARENT = 'cancelledByParent';

/** @param {AsyncIterable<{ type: string, data: any }>} source */
export default async function* events(source) {
  /** @type {string[]} */
  const path = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      path.length = data.nesting;
      path.push(data.name);
      yield line({ start: path });
    } else if (type === 'test:diagnostic') {
      yield line({ diagnostic: data.message });
    } else if (type === 'test:pass' || type === 'test:fail') {
      const name = [...path.slice(0, data.nesting), data.name];
      const isSuite = data.details.type === 'suite';
      const error = data.details.error;
      if (type === 'test:fail' && data.todo === undefined) {
        if (error?.failureType === OF_ITS_PARENT) yield line({ cancelled: name });
        else if (error?.failureType !== OF_ITS_TESTS) yield line({ failed: name, error: textOf(error) });
      } else if (data.skip !== undefined) yield line({ skipped: name, why: data.skip === true ? '' : data.skip });
      else if (!isSuite) yield line({ passed: name });
    }
  }
}

/** @param {object} event */
function line(event) {
  return `${JSON.stringify(event)}\n`;
}

/** @param {any} error */
function textOf(error) {
  const cause = error?.cause ?? error;
  return typeof cause === 'string' ? cause : inspect(cause, { depth: 6, breakLength: 120, maxArrayLength: 40 });
}
