/** The commands: their names, options and help. What they do is in a module each, loaded when it is called. */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { parseBytes, parseDuration } from '../protocol/units.ts';
import { VERSION } from '../version.ts';
import { OWN_FAILURE, sayError } from './output.ts';
import type { RunOptions } from './run.ts';

/** @returns the exit code */
export async function main(args: string[]): Promise<number> {
  let code = 0;
  const program = commands((result) => {
    code = result;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    // commander has said what is wrong, or shown the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : OWN_FAILURE;
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return OWN_FAILURE;
    await sayError(error);
    return OWN_FAILURE;
  }
}

/** @param done told the exit code of the command that ran */
function commands(done: (code: number) => void): Command {
  const program = new Command('coderunner')
    .description('Runs a file in a sandbox that was already waiting, and shows what it prints as it prints it.')
    .helpCommand('help [command]', 'show what a command does, and its options')
    .helpOption('-h, --help', 'show this')
    .configureHelp({ optionDescription: ({ description }) => description })
    .version(VERSION, '-V, --version', 'show the version')
    .showSuggestionAfterError()
    .showHelpAfterError('(`coderunner --help` has all commands)')
    // Errors of usage look like all others.
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, 'coderunner: bad_usage:')) })
    .exitOverride()
    .addHelpText(
      'after',
      `
Start with:
  coderunner doctor             is everything there that a run needs?
  coderunner run hello.py       run a file; the first time also starts the daemon
  coderunner run --help         all that a run can be given`,
    );

  const addCommand = (name: string, description: string) => {
    const command = program.command(name).description(description);
    // What commander has to say about wrong usage ends with the way to more.
    return command.showHelpAfterError(`(\`coderunner ${command.name()} --help\` has all options)`);
  };
  const does =
    <A extends unknown[]>(action: (...args: A) => Promise<number>) =>
    async (...args: A) =>
      done(await action(...args));

  addCommand('run', 'run a file in a sandbox')
    .argument('<file>', 'the file to run; its folder goes along (see --only)')
    .argument('[args...]', 'arguments for the program; put -- before those that begin with a dash')
    .option('-r, --runtime <name>', 'language; left out, the ending of the file decides (`coderunner runtimes`)')
    .option('-t, --tty', 'give the program a terminal: single keys, cursor, colours', false)
    .option('--stdin <file>', 'input from a file; - is what is piped in, which is taken anyway')
    .option(
      '--input-dir <folder>',
      'run it with each file of the folder as its input, in natural order: 1.in, 2.in, 10.in',
    )
    .option('--output-dir <folder>', 'where --input-dir keeps what is printed: NAME.out, and NAME.err for stderr')
    .option('--stop-at-first-failure', 'with --input-dir: run nothing behind the first input that does not pass', false)
    .option('-e, --env <name=value>', 'environment variable for the program; may be given again', pair, {})
    .option(
      '--option <name=value>',
      'what the language lets you choose, such as std=c++17; may be given again',
      pair,
      {},
    )
    .option('--service <name>', 'what is to run beside the program, such as mariadb; may be given again', append, [])
    .option('--timeout <time>', 'most wall time, such as 500ms, 30s, 5min', duration)
    .option('--cpu <time>', 'most CPU time', duration)
    .option('--memory <size>', 'most memory, such as 64MiB, 1GiB', bytes)
    .option('--output-limit <size>', 'most output', bytes)
    .option('--only', 'send the file alone, without its neighbours', false)
    .option(
      '--include <glob>',
      'send these too, also what is hidden or ignored; from the file’s folder on; may be given again',
      append,
      [],
    )
    .option('--collect <glob>', 'bring these produced files back; may be given again', append, [])
    .option('--out <folder>', 'where --collect writes them')
    .option('--cold', 'start the interpreter fresh instead of taking one that waits', false)
    .option('--priority <number>', 'from -10 to 10, among your own runs', priority)
    .option('--detach', 'print the id of the run and leave it running (`coderunner logs`)', false)
    .option('--json', 'print one JSON object a line, for programs', false)
    .addOption(new Option('-q, --quiet', 'say nothing about how the program ended').default(false).conflicts('verbose'))
    .option('-v, --verbose', 'say what is done, and how long it took', false)
    .addHelpText(
      'after',
      `
Exit code: the program's own; 128 + its number where a signal ended it; 124 out of time; 137 out of memory;
130 cancelled by Ctrl-C; 125 where CodeRunner could not do its part. With --input-dir: 0 where all inputs passed, else 1.

With --input-dir the program is compiled once and run for each input in a sandbox of its own. Where NAME.out or NAME.ans is beside
NAME.in, stdout is compared with it; white space at the ends of lines does not count.

Examples:
  coderunner run hello.py -- --name Ada         what follows -- is for the program
  coderunner run sum.py < numbers.txt           input is passed on as the program reads it
  coderunner run -t game.py                     Ctrl-C goes to the program, as every key
  coderunner run --collect '*.png' --out plots plot.py
  coderunner run --input-dir tests solve.cpp    does it print tests/*.out for tests/*.in?`,
    )
    .action(
      does(async (file: string, args: string[], options: RunOptions) =>
        options.inputDir === undefined && options.outputDir === undefined && !options.stopAtFirstFailure
          ? (await import('./run.ts')).run(file, args, options)
          : (await import('./batch.ts')).runBatch(file, args, options),
      ),
    );

  addCommand('ps', 'list the runs that wait or run')
    .option('-a, --all', 'also those that have ended, newest first', false)
    .option('-n, --limit <number>', 'at most that many with --all', wholeNumber(1, 1_000), 50)
    .option('--json', 'as JSON', false)
    .action(does(async (options) => (await import('./runs.ts')).ps(options)));

  addCommand('logs', 'print what a run has printed')
    .argument('<run>', 'its id (`coderunner ps -a`)')
    .option('-f, --follow', 'go on until it has ended', false)
    .action(does(async (id, options) => (await import('./runs.ts')).logs(id, options)));

  addCommand('kill', 'end runs')
    .argument('<run...>', 'their ids (`coderunner ps`)')
    .action(does(async (ids) => (await import('./runs.ts')).kill(ids)));

  const runtimes = addCommand('runtimes', 'list the languages, build their images, or bring your own');
  runtimes
    .command('list', { isDefault: true })
    .description('list the languages')
    .option('--json', 'as JSON', false)
    .action(does(async (options) => (await import('./runtimes.ts')).listRuntimes(options)));
  runtimes
    .command('build')
    .description('build the images that are missing')
    .argument('[names...]', 'only these languages')
    .option('--force', 'also those that are there', false)
    .action(does(async (names, options) => (await import('./build.ts')).buildRuntimes(names, options)));
  runtimes
    .command('check')
    .description('say all that is wrong with the folder of a language of your own')
    .argument('<folder>', 'has runtime.json and Dockerfile')
    .option('--json', 'as JSON', false)
    .action(does(async (folder, options) => (await import('./own-runtimes.ts')).checkRuntime(folder, options)));
  runtimes
    .command('add')
    .description('copy a language of your own beside the others, build its image, and try its example')
    .argument('<folder>', 'has runtime.json and Dockerfile')
    .option('--as <id>', 'its id, where not that of runtime.json')
    .action(does(async (folder, options) => (await import('./own-runtimes.ts')).addRuntime(folder, options)));
  runtimes
    .command('remove')
    .description('remove a language that was added, and its image')
    .argument('<id>', 'as `coderunner runtimes` shows it')
    .action(does(async (id) => (await import('./own-runtimes.ts')).removeRuntime(id)));
  runtimes
    .command('reload')
    .description('have the daemon read the folders of languages again')
    .action(does(async () => (await import('./own-runtimes.ts')).reloadRuntimes()));

  const packages = addCommand('packages', 'list the installed packages of projects, or remove them');
  packages
    .command('ls', { isDefault: true })
    .description('list them, the latest used first')
    .option('--json', 'as JSON', false)
    .action(does(async (options) => (await import('./packages.ts')).listPackages(options)));
  packages
    .command('rm')
    .description('remove some; the next run that needs them installs them again')
    .argument('<packages...>', 'their ids (`coderunner packages`)')
    .action(does(async (ids) => (await import('./packages.ts')).removePackages(ids)));
  packages
    .command('prune')
    .description('remove all that no run uses')
    .action(does(async () => (await import('./packages.ts')).prunePackages()));

  addCommand('start', 'start the daemon; `run` does so by itself')
    .option('--foreground', 'be the daemon, until Ctrl-C or a service manager stops it; the log goes to stderr', false)
    .option('--stop-when-idle', 'stop when nobody has needed it for a while', false)
    .option('--json', 'as JSON', false)
    .action(
      does(async (options) =>
        options.foreground
          ? (await import('./serve.ts')).serve(options)
          : (await import('./daemon.ts')).startInBackground(options),
      ),
    );

  addCommand('stop', 'stop the daemon; runs may finish for a moment')
    .option('--force', 'end running programs at once', false)
    .action(does(async (options) => (await import('./daemon.ts')).stop(options)));

  addCommand('status', 'show the daemon, the engine, and the containers that wait')
    .option('--json', 'as JSON', false)
    .action(does(async (options) => (await import('./daemon.ts')).status(options)));

  addCommand('doctor', 'check everything that a run needs, and say how to mend what is not right')
    .option('--json', 'as JSON', false)
    .action(does(doctor));

  addCommand('lsp', 'serve editors that speak the Language Server Protocol')
    .option('--stdio', 'on standard input and output, which is the only way', true)
    .action(does(async () => (await import('./lsp.ts')).serveLsp()));

  addCommand('config', 'show every setting, its value, and where that comes from')
    .option('--json', 'as JSON', false)
    .action(does(async (options) => (await import('./settings.ts')).showConfig(options)));

  addCommand('completion', 'print completions for a shell')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      `
bash:  source <(coderunner completion bash)        in ~/.bashrc
zsh:   source <(coderunner completion zsh)         in ~/.zshrc, after compinit
fish:  coderunner completion fish > ~/.config/fish/completions/coderunner.fish`,
    )
    .action(
      does(async (shell) => {
        process.stdout.write((await import('./completion.ts')).completion(shell, program));
        return 0;
      }),
    );

  addCommand('version', 'show the versions of this command and of the daemon')
    .option('--json', 'as JSON', false)
    .action(does(async (options) => (await import('./daemon.ts')).version(options)));

  return program;
}

async function doctor(options: { json: boolean }): Promise<number> {
  const [{ renderDoctor, runDoctor }, { loadConfig }] = await Promise.all([
    import('./doctor/doctor.ts'),
    import('../config.ts'),
  ]);
  const checks = await runDoctor(loadConfig());
  process.stdout.write(options.json ? `${JSON.stringify(checks, null, 2)}\n` : renderDoctor(checks));
  return checks.some(({ state }) => state === 'fail') ? 1 : 0;
}

function append(value: string, before: string[]): string[] {
  return [...before, value];
}

function pair(text: string, before: Record<string, string>): Record<string, string> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('It takes NAME=VALUE.');
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
}

function duration(text: string): number {
  // 30 might be seconds, or milliseconds as in the API: only the person knows.
  const value = /[a-z]/i.test(text) ? parseDuration(text) : undefined;
  if (value === undefined) throw new InvalidArgumentError('It takes a time with its unit: 500ms, 30s, 5min.');
  return value;
}

function bytes(text: string): number {
  const value = parseBytes(text);
  if (value === undefined) throw new InvalidArgumentError('It takes a size: 64MiB, 1GiB.');
  return value;
}

function priority(text: string): number {
  return wholeNumber(-10, 10)(text);
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It takes a whole number from ${least} to ${most}.`);
  };
}
