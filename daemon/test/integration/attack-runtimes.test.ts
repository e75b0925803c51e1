/** What one machine code program tries in the sandbox of each language, started by a program of that language. docs/security.md. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { RunFile, RunRequest } from '../../src/protocol/index.ts';
import { buildImages } from '../helpers/images.ts';
import { type Followed, TestDaemon } from '../support/live-daemon.ts';

const C = 'int execv(const char *, char **);\nint main(int n, char **args) { return execv("./doors", args) + n; }\n';
const NODE =
  "import { spawnSync } from 'node:child_process';\nspawnSync('./doors', process.argv.slice(2), { stdio: 'inherit' });\n";

/** A program of each language that starts `./doors` with its own arguments. SQL has no way to: its database is tried beside Python. */
const STARTERS: Record<string, { path: string; content: string }> = {
  python: { path: 'main.py', content: "import subprocess, sys\nsubprocess.run(['./doors', *sys.argv[1:]])\n" },
  'python+mariadb': {
    path: 'main.py',
    content: "import subprocess, sys\nsubprocess.run(['./doors', *sys.argv[1:]])\n",
  },
  javascript: { path: 'main.mjs', content: NODE },
  typescript: { path: 'main.mts', content: NODE },
  bash: { path: 'main.sh', content: './doors "$@"; :\n' },
  c: { path: 'main.c', content: C },
  cpp: { path: 'main.cpp', content: `extern "C" ${C}` },
  rust: {
    path: 'main.rs',
    content: `fn main() {
    std::process::Command::new("./doors").args(std::env::args().skip(1)).status().unwrap();
}
`,
  },
  go: {
    path: 'main.go',
    content: `package main

import (
	"os"
	"os/exec"
)

func main() {
	doors := exec.Command("./doors", os.Args[1:]...)
	doors.Stdout, doors.Stderr = os.Stdout, os.Stderr
	doors.Run()
}
`,
  },
  java: {
    path: 'Main.java',
    content: `class Main {
    public static void main(String[] args) throws Exception {
        var command = new java.util.ArrayList<>(java.util.List.of(args));
        command.addFirst("./doors");
        new ProcessBuilder(command).inheritIO().start().waitFor();
    }
}
`,
  },
};

const MiB = 2 ** 20;

describe('a hostile program in the sandbox of', function () {
  this.timeout(180_000);
  let daemon: TestDaemon;
  let doors: RunFile;

  before(async function () {
    this.timeout(1_200_000);
    await using engine = await Engine.connect(loadConfig());
    await buildImages(loadConfig(), engine, Object.keys(STARTERS));
    daemon = await TestDaemon.start();
    const content = await readFile(new URL('../fixtures/attack/doors.c', import.meta.url), 'utf8');
    const files = [{ path: 'main.c', content }];
    const { run, stderr } = await daemon.runToEnd({ runtime: 'c', files, args: ['leave'], collect: ['doors'] });
    const [left] = run.files;
    assert.ok(left, `${run.message} ${stderr}`);
    doors = { path: 'doors', sha256: left.sha256, executable: true };
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  function tries(name: string, args: string[], limits: RunRequest['limits'] = {}): Promise<Followed> {
    const [runtime = '', ...services] = name.split('+');
    const starter = STARTERS[name] as { path: string; content: string };
    const files = [starter, doors];
    limits = { wallMs: 60_000, ...limits };
    return daemon.runToEnd({ runtime, entry: starter.path, files, args, services, stdin: null, limits });
  }

  for (const name of Object.keys(STARTERS)) {
    it(`${name} finds no door, and what it leaves behind does not stay`, async () => {
      const { run, stdout, stderr } = await tries(name, []);
      assert.equal(stdout, 'tried all: yes\n', `${run.message} ${stderr}`);
      assert.match(run.state, /^(?:succeeded|failed)$/);
    });

    it(`${name} takes no more memory than it may`, async () => {
      // A database brings memory of its own.
      const { run, stdout } = await tries(name, ['memory', `${1024 * MiB}`], { memoryBytes: 512 * MiB });
      assert.equal(stdout, '');
      assert.match(run.state, /^(?:out_of_memory|succeeded)$/, 'its child was ended, or all of it');
    });
  }
});
