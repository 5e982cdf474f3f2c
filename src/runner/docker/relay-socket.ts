/** A connection that a relay carries, as a socket: it is read, written and closed as any other, and its peer is the one that the relay saw. */
import { Socket } from 'node:net';
import { encodeCredit, encodeFrame, FRAME, WINDOW_BYTES } from './relay-program.ts';

interface Written {
  readonly chunk: Buffer | string;
  readonly encoding: BufferEncoding;
}

function bytesOf({ chunk, encoding }: Written): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}

export class RelaySocket extends Socket {
  readonly #id: number;
  readonly #send: (frame: Buffer) => void;
  #credit = WINDOW_BYTES;
  /** Goes on with the write that waits for credit. */
  #resume: (() => void) | undefined;
  /** Bytes that were read from us, and not yet told. */
  #taken = 0;
  #isOver = false;
  #isOpen: boolean;

  /** @param isOpen false for one that is being dialled */
  constructor(id: number, peer: string, isOpen: boolean, send: (frame: Buffer) => void) {
    super();
    this.#isOpen = isOpen;
    this.#id = id;
    this.#send = send;
    Object.defineProperty(this, 'remoteAddress', { value: peer });
    // Node's TLS takes a socket without a handle for one that is being connected, and waits.
    this.on('newListener', (event) => {
      if (event === 'connect' && this.#isOpen) process.nextTick(() => this.emit('connect'));
    });
    this.once('close', () => {
      if (!this.#isOver) send(encodeFrame(id, FRAME.close));
    });
  }

  override _read(): void {
    if (this.#taken === 0) return;
    this.#send(encodeCredit(this.#id, this.#taken));
    this.#taken = 0;
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: () => void): void {
    this.#put(bytesOf({ chunk, encoding }), done);
  }

  override _writev(chunks: readonly Written[], done: () => void): void {
    this.#put(Buffer.concat(chunks.map(bytesOf)), done);
  }

  #put(bytes: Buffer, done: () => void): void {
    this.#send(encodeFrame(this.#id, FRAME.data, bytes));
    this.#credit -= bytes.length;
    if (this.#credit > 0) done();
    else this.#resume = done;
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#send(encodeFrame(this.#id, FRAME.end));
    done();
  }

  /** What the relay says of this connection. */
  receive(kind: number, payload: Buffer): void {
    if (kind === FRAME.opened) {
      this.#isOpen = true;
      this.emit('connect');
    } else if (kind === FRAME.end) this.push(null);
    else if (kind === FRAME.data) {
      this.#taken += payload.length;
      this.push(payload);
    } else if (kind === FRAME.credit) {
      this.#credit += payload.readUInt32BE(0);
      if (this.#credit <= 0) return;
      const resume = this.#resume;
      this.#resume = undefined;
      resume?.();
    } else if (kind === FRAME.close) {
      this.#isOver = true;
      const reason = payload.toString();
      if (reason !== '') this.destroy(new Error(reason));
      else if (this.readableEnded || this.writableEnded) this.destroy();
      else {
        // What came before is still to be read.
        this.push(null);
        this.once('end', () => this.destroy());
      }
    }
  }
}
