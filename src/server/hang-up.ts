/** When nobody waits for an answer any more. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** @returns a signal that is aborted when the caller goes away before the answer is sent: to abort costs more than the rest of a short answer, so it is for those alone */
export function hangUpSignal(request: IncomingMessage, response: ServerResponse): AbortSignal {
  const abort = new AbortController();
  response.once('close', () => response.writableFinished || abort.abort());
  // Over HTTP/2 a response that was cut off counts as finished; there the request knows.
  if (request.httpVersionMajor === 2) request.once('aborted', () => abort.abort());
  return abort.signal;
}
