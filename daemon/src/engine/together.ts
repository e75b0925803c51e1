/** Writes that go out together. */
import type { Writable } from 'node:stream';

/**
 * Sends what is written to a socket in one turn of the event loop at its end, in one piece: each piece costs a system call here and
 * wakes whoever is behind the socket, which costs more than the few bytes that most of them carry.
 */
export class Together {
  readonly #socket: Writable;
  #waiting = false;

  constructor(socket: Writable) {
    this.#socket = socket;
  }

  /** To be called before each write. */
  begin(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#socket.cork();
    setImmediate(() => {
      this.#waiting = false;
      this.#socket.uncork();
    });
  }
}
