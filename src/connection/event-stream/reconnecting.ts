import type { Close } from '../../close/close.ts';
import type { EventStreamRequest } from '../../close/options.ts';

const EVENT_STREAM = 'text/event-stream';

/** Whether a response of this type is an event stream. */
export function isEventStreamType(contentType: string): boolean {
  return /^ *text\/event-stream\b/i.test(contentType);
}

/** Whether a close ends an event stream early: the `eventStreams` option. What a function throws is in the report. */
export function isEndedEarly(close: Close, request: EventStreamRequest): boolean {
  const { eventStreams } = close.options;
  if (typeof eventStreams === 'string') {
    return eventStreams === 'all' || (eventStreams === 'reconnecting' && isReconnecting(request));
  }
  try {
    const isEnded: unknown = eventStreams(request);
    if (!(isEnded instanceof Promise)) return isEnded === true;
    // Not waited for; but an async function that throws must not end the program.
    isEnded.catch(() => {});
    throw new TypeError('Expected `eventStreams` to return a boolean, got a promise');
  } catch (cause) {
    close.noteThrown('eventStreams', cause);
    return false;
  }
}

/**
 * Whether the client takes the event stream up again when its connection ends, as an EventSource does (HTML Standard 9.2.3).
 * It shows in what the client accepts: an EventSource accepts this type alone, and so does the listening GET of an MCP client.
 * fetch accepts everything. The POST of an MCP client accepts JSON, too.
 */
function isReconnecting({ method, headers }: EventStreamRequest): boolean {
  if (method !== 'GET') return false;
  const accepted = (headers.accept ?? '').split(',').map((range) => range.replace(/;.*/s, '').trim().toLowerCase());
  return accepted.includes(EVENT_STREAM) && !accepted.includes('*/*') && !accepted.includes('application/json');
}

/** Whether a request may be for an event stream: a quick look at what it accepts. */
export function mayBeForEvents({ accept }: { readonly accept?: string | undefined }): boolean {
  return accept?.includes(EVENT_STREAM) === true;
}
