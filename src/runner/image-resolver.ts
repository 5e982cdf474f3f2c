/** Asks the driver for images: a few at a time, each with a time limit, and the same reference once for all who wait for it. */
import { type Driver, ImageError, type ResolvedImage } from './driver.ts';

export interface ImageResolver {
  /** @throws ImageError; `unavailable` also stands for a driver that did not answer in time */
  resolve(reference: string): Promise<ResolvedImage>;
  /** Aborts what is under way; everything after it fails as `unavailable`. */
  close(): void;
  readonly resolutions: number;
}

export function createImageResolver(driver: Pick<Driver, 'resolveImage'>, limits: { readonly concurrency: number; readonly timeoutMs: number }): ImageResolver {
  const closing = new AbortController();
  const inFlight = new Map<string, Promise<ResolvedImage>>();
  const line: (() => void)[] = [];
  let busy = 0;
  let resolutions = 0;

  const ask = async (reference: string): Promise<ResolvedImage> => {
    if (busy >= limits.concurrency) await new Promise<void>((resolve) => line.push(resolve));
    busy++;
    resolutions++;
    try {
      const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(limits.timeoutMs)]);
      return await driver.resolveImage(reference, signal);
    } catch (error) {
      if (error instanceof ImageError) throw error;
      throw new ImageError('unavailable', `The image ${reference} could not be looked up: ${error instanceof Error ? error.message : String(error)}`, error);
    } finally {
      busy--;
      line.shift()?.();
    }
  };
  return {
    get resolutions() {
      return resolutions;
    },
    resolve(reference) {
      const known = inFlight.get(reference);
      if (known !== undefined) return known;
      const asked = ask(reference).finally(() => inFlight.delete(reference));
      inFlight.set(reference, asked);
      return asked;
    },
    close: () => closing.abort(),
  };
}
