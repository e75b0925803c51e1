/* What the kernel and libc know of this process: its command line and environment. */
#ifndef CODERUNNER_PROCESS_STRINGS_H
#define CODERUNNER_PROCESS_STRINGS_H

/*
 * Makes `env` the C environment, and shows `argv` and `env` in /proc/self/cmdline and environ where the kernel allows it (it may
 * not, under another kernel such as gVisor's: nothing depends on it). Both lists must live as long as the process.
 */
void replace_process_strings(char **argv, char **env);

#endif
