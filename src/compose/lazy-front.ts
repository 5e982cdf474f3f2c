/** The front before it is loaded: whoever comes first loads it, and all who come meanwhile wait for the same load. */
import type { Socket } from 'node:net';
import type { Handler } from '../server/listen.ts';
import type { Front, FrontParts } from './front.ts';

export interface LazyFront {
  /** Loads it. A failure is of who asked; the next one tries again. */
  open(): Promise<Front>;
  /** Loads it where nobody waits. */
  warmUp(): void;
  readonly handler: Handler;
  /** A connection of a task to the metadata server. */
  metadata(socket: Socket): void;
  close(): void;
}

export function createLazyFront(parts: FrontParts): LazyFront {
  let opened: Front | undefined;
  let opening: Promise<Front> | undefined;
  const open = (): Promise<Front> => {
    opening ??= import('./front.ts').then(
      ({ createFront }) => (opened = createFront(parts)),
      (error: unknown) => {
        opening = undefined;
        throw error;
      },
    );
    return opening;
  };
  const failed = (error: unknown): void => parts.log.error({ err: error }, 'The part of the program that answers could not be loaded.');
  const serveTask = async (socket: Socket): Promise<void> => {
    // It may go before it is served; without a listener that would be an uncaught error.
    const drop = () => socket.destroy();
    socket.on('error', drop);
    try {
      const { metadata } = await open();
      socket.off('error', drop);
      if (!socket.destroyed) metadata.serve(socket);
    } catch (error) {
      failed(error);
      socket.destroy();
    }
  };
  const answer = async (...[request, response]: Parameters<Handler>): Promise<void> => {
    try {
      const { handler } = await open();
      handler(request, response);
    } catch (error) {
      failed(error);
      response.statusCode = 500;
      response.end();
    }
  };
  return {
    open,
    warmUp() {
      open().catch(failed);
    },
    handler: (request, response) => (opened === undefined ? void answer(request, response) : opened.handler(request, response)),
    metadata: (socket) => (opened === undefined ? void serveTask(socket) : opened.metadata.serve(socket)),
    close: () => opened?.metadata.close(),
  };
}
