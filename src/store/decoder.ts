/**
 * Decodes stored messages, and answers the same object again while its bytes are the same: reading is then a comparison, and whoever
 * keeps something beside the object (its JSON) may go on using it. Nothing has to be invalidated.
 */
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';

export interface Decoder<Desc extends DescMessage> {
  /** @param key names the row @returns shared: not to be changed */
  decode(key: string, body: Uint8Array): MessageShape<Desc>;
}

/** @param most how many are kept; the oldest goes first */
export function createDecoder<Desc extends DescMessage>(schema: Desc, most = 1000): Decoder<Desc> {
  const kept = new Map<string, { readonly body: Uint8Array; readonly message: MessageShape<Desc> }>();
  return {
    decode(key, body) {
      const known = kept.get(key);
      if (known !== undefined && Buffer.compare(known.body, body) === 0) return known.message;
      const message = fromBinary(schema, body);
      kept.delete(key);
      kept.set(key, { body, message });
      if (kept.size > most)
        for (const oldest of kept.keys()) {
          kept.delete(oldest);
          break;
        }
      return message;
    },
  };
}
