/** A stream of answers over REST: a JSON array that grows, a message on each line, as Google's APIs write it. An error in its midst is its last element. */
import type { ServerResponse } from 'node:http';
import { type DescMessage, type Message, type Registry, toJson } from '@bufbuild/protobuf';

/**
 * Resolves when all is sent. Nothing is sent before the first message, so that a refusal has a status of its own.
 * @param errorJson the envelope of an error @throws what the stream throws before its first message
 */
export async function sendStream(
  response: ServerResponse,
  answers: AsyncGenerator<Message>,
  output: DescMessage,
  registry: Registry,
  errorJson: (error: unknown) => object,
): Promise<void> {
  let isBegun = false;
  const begin = (): void => {
    response.statusCode = 200;
    response.setHeader('Content-Type', 'application/json; charset=UTF-8');
    response.setHeader('Cache-Control', 'private');
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.write('[');
    isBegun = true;
  };
  let separator = '';
  const write = async (json: unknown): Promise<void> => {
    if (!isBegun) begin();
    const text = `${separator}${JSON.stringify(json)}\n`;
    separator = ',';
    // A caller that reads slowly is waited for; one that went away ends the wait.
    if (!response.write(text) && !response.destroyed)
      await new Promise<void>((resolve) => {
        const done = (): void => {
          response.off('drain', done);
          response.off('close', done);
          resolve();
        };
        response.on('drain', done);
        response.on('close', done);
      });
  };
  try {
    for await (const answer of answers) {
      if (response.destroyed) return;
      await write(toJson(output, answer, { registry }));
    }
  } catch (error) {
    if (!isBegun) throw error;
    await write(errorJson(error));
  }
  if (!isBegun) begin();
  response.end(']\n');
}
