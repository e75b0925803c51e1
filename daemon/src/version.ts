/** The version of the daemon, its command line and its client; the same as in package.json, which a test holds. */
export const VERSION = '0.1.0';
