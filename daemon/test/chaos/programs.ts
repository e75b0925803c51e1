/** What the clients run. Every program prints bytes that are known beforehand, so that each one that arrives can be checked. */

export interface Program {
  source: string;
  /** What its one argument, which no other run has, makes it print. */
  prints(token: string): Buffer;
  /** Lines that it waits for, and prints again. */
  input?(token: string): string[];
  /** Its reader takes a moment for each piece. */
  slowly?: boolean;
}

const numbered = (token: string, lines: number) =>
  Buffer.from(Array.from({ length: lines }, (_, index) => `${token} ${String(index).padStart(40, '.')}\n`).join(''));
const NUMBERED = (lines: number) =>
  `import sys\nfor index in range(${lines}): print(sys.argv[1], str(index).rjust(40, '.'))\n`;
/** Of output that the daemon of the suite keeps. */
export const WINDOW_BYTES = 256 * 1024;
const FLOOD_LINES = 16_000; // some 800 KB, three windows
const SLOW_LINES = 8_000;
const echoed = (token: string) => [0, 1, 2].map((index) => `${token} line ${index}\n`);

export const PROGRAMS = {
  hello: { source: 'import sys\nprint("hello", sys.argv[1])\n', prints: (token) => Buffer.from(`hello ${token}\n`) },
  echo: {
    source: 'import sys\nfor line in sys.stdin: print(line, end="", flush=True)\n',
    prints: (token) => Buffer.from(echoed(token).join('')),
    input: echoed,
  },
  sleep: {
    source: 'import sys, time\nprint(sys.argv[1], flush=True)\ntime.sleep(0.4)\nprint("slept")\n',
    prints: (token) => Buffer.from(`${token}\nslept\n`),
  },
  flood: { source: NUMBERED(FLOOD_LINES), prints: (token) => numbered(token, FLOOD_LINES) },
  slow: { source: NUMBERED(SLOW_LINES), prints: (token) => numbered(token, SLOW_LINES), slowly: true },
} satisfies Record<string, Program>;

export type ProgramName = keyof typeof PROGRAMS;
