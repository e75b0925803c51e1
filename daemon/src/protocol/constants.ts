/**
 * The few numbers and names that clients need without the schemas, whose library takes longer to load than a short program to
 * run.
 */

/** The WebSocket's subprotocol. */
export const SUBPROTOCOL = 'coderunner.v1';
/** Goes up when clients and daemons of different versions no longer understand each other. */
export const PROTOCOL_VERSION = 1;
/** Stdin that may be under way to one run: what the agent buffers. */
export const STDIN_WINDOW_BYTES = 256 * 1024;
