/**
 * A message as the bytes of its JSON. They are kept beside the message for as long as it lives, so a handler that answers with the same
 * object again (a stored resource that did not change) costs no second encoding.
 */
import { type DescMessage, type Message, type Registry, toJson } from '@bufbuild/protobuf';

export interface JsonForm {
  readonly prettyPrint: boolean;
  readonly enumsAsNumbers: boolean;
}

export interface JsonText {
  bytes(desc: DescMessage, message: Message, form: JsonForm): Buffer;
}

export function createJsonText(registry: Registry): JsonText {
  const kept = new WeakMap<Message, Map<string, Buffer>>();
  return {
    bytes(desc, message, form) {
      const key = `${form.prettyPrint} ${form.enumsAsNumbers}`;
      const known = kept.get(message)?.get(key);
      if (known !== undefined) return known;
      const bytes = jsonBytes(toJson(desc, message, { registry, enumAsInteger: form.enumsAsNumbers }), form.prettyPrint);
      const forms = kept.get(message) ?? new Map<string, Buffer>();
      kept.set(message, forms.set(key, bytes));
      return bytes;
    },
  };
}

/** Two spaces and a line end, as Google's APIs print for people, or nothing that is not needed. */
export function jsonBytes(json: unknown, prettyPrint: boolean): Buffer {
  return Buffer.from(prettyPrint ? `${JSON.stringify(json, undefined, 2)}\n` : JSON.stringify(json));
}
