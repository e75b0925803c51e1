/**
 * Keeps V8 from compiling in the background: a compiler there that waits for a collection while the process ends is waited for
 * in turn, for ever (nodejs/node#54918). What is left compiles at once and is quick at it.
 */
export const NO_BACKGROUND_COMPILERS = ['--no-maglev', '--no-turbofan', '--no-concurrent-sparkplug'] as const;
