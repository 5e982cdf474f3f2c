/** Messages of the domain name system (RFC 1035, RFC 6891), as far as whoever stands between a task and its name servers must read them. Pure. */
import { type Answer, decode, encode, type Question } from 'dns-packet';

/** Without extensions a datagram has at most so many bytes (RFC 1035 section 2.3.4). */
const PLAIN_DATAGRAM_BYTES = 512;
const HEADER_BYTES = 12;
/** Bits of the header's second word. */
const RESPONSE = 0x8000;
const OPCODE = 0x7800;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;

export const RCODE = { formatError: 1, serverFailure: 2, notImplemented: 4, refused: 5 } as const;

export interface Query {
  readonly message: Buffer;
  readonly question: Question;
  /** In lower case, no dot at the end. */
  readonly name: string;
  /** Where the question section ends. */
  readonly questionEnd: number;
  /** The longest datagram that whoever asks takes. */
  readonly datagramBytes: number;
}

/** @returns the query, the code to refuse it with, or undefined for what gets no answer at all: what is too short to have an id, or is itself a response */
export function readQuery(message: Buffer): Query | number | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const flags = message.readUInt16BE(2);
  if ((flags & RESPONSE) !== 0) return undefined;
  if ((flags & OPCODE) !== 0) return RCODE.notImplemented;
  if (message.readUInt16BE(4) !== 1) return RCODE.formatError;
  try {
    const { questions, additionals = [] } = decode(message);
    const [question] = questions ?? [];
    if (question === undefined) return RCODE.formatError;
    if (question.class !== 'IN') return RCODE.refused;
    const extension = additionals.find((record) => record.type === 'OPT');
    const datagramBytes = Math.max(PLAIN_DATAGRAM_BYTES, extension?.udpPayloadSize ?? 0);
    return { message, question, name: question.name.toLowerCase().replace(/\.$/, ''), questionEnd: endOfQuestion(message), datagramBytes };
  } catch {
    // The library throws on whatever is cut off, points nowhere or goes round.
    return RCODE.formatError;
  }
}

/** The section after the header, whatever stands in the others. @throws where it is malformed */
function endOfQuestion(message: Buffer): number {
  const alone = Buffer.from(message);
  alone.fill(0, 6, HEADER_BYTES);
  decode(alone);
  return decode.bytes;
}

/** @param address what the name stands for; any other kind of question gets "there is none" */
export function answerWith(query: Query, address: string, ttlSeconds: number): Buffer {
  const { question } = query;
  const answers: Answer[] = question.type === 'A' ? [{ type: 'A', class: 'IN', name: question.name, ttl: ttlSeconds, data: address }] : [];
  const desired = query.message.readUInt16BE(2) & RECURSION_DESIRED;
  return encode({ type: 'response', id: query.message.readUInt16BE(0), flags: AUTHORITATIVE | RECURSION_AVAILABLE | desired, questions: [question], answers });
}

/** @param query the message itself where it could not be read */
export function refuse(query: Query | Buffer, code: number): Buffer {
  const { message, questionEnd } = Buffer.isBuffer(query) ? { message: query, questionEnd: HEADER_BYTES } : query;
  return headed(message, questionEnd, (message.readUInt16BE(2) & (OPCODE | RECURSION_DESIRED)) | RESPONSE | RECURSION_AVAILABLE | code);
}

/** What fits into a datagram: all of it, or word that there is more, for which whoever asks comes again over TCP. */
export function fitDatagram(query: Query, response: Buffer): Buffer {
  return response.length <= query.datagramBytes ? response : headed(response, query.questionEnd, response.readUInt16BE(2) | TRUNCATED);
}

/** Header and question of a message alone. */
function headed(message: Buffer, questionEnd: number, flags: number): Buffer {
  const head = Buffer.from(message.subarray(0, questionEnd));
  head.writeUInt16BE(flags, 2);
  head.fill(0, questionEnd > HEADER_BYTES ? 6 : 4, HEADER_BYTES);
  return head;
}

/** A copy under another id, for the next server, or back. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** Whether this answers that query as it was sent: a response, of its id, to its question. */
export function isResponseTo(sent: Pick<Query, 'message' | 'questionEnd'>, received: Buffer): boolean {
  const question = (message: Buffer) => message.toString('latin1', HEADER_BYTES, sent.questionEnd).toLowerCase();
  return (
    received.length >= sent.questionEnd &&
    received.readUInt16BE(0) === sent.message.readUInt16BE(0) &&
    (received.readUInt16BE(2) & (RESPONSE | OPCODE)) === RESPONSE &&
    received.readUInt16BE(4) === 1 &&
    question(received) === question(sent.message)
  );
}
