/** `coderunner completion`: scripts for shells, made from the commands themselves. */
import type { Command, Option } from 'commander';

type Shell = 'bash' | 'zsh' | 'fish';

interface Entry {
  name: string;
  description: string;
  options: readonly Option[];
  subcommands: readonly string[];
  /** Whether its first argument is a file. */
  takesFile: boolean;
}

/** The script that makes a shell complete `coderunner`. */
export function completion(shell: Shell, program: Command): string {
  const entries = program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    options: command.options.filter(({ hidden }) => !hidden),
    subcommands: [
      ...command.commands.map((sub) => sub.name()),
      ...command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    ],
    takesFile: command.registeredArguments[0]?.name() === 'file',
  }));
  switch (shell) {
    case 'bash':
      return bash(entries);
    case 'zsh':
      return zsh(entries);
    case 'fish':
      return fish(entries);
  }
}

function bash(entries: readonly Entry[]): string {
  const cases = entries.map(({ name, options, subcommands, takesFile }) => {
    const words = [...options.flatMap(({ long }) => long ?? []), '--help', ...subcommands].join(' ');
    return `    ${name}) words='${words}'; files=${takesFile ? 'yes' : 'no'} ;;`;
  });
  // Values that are neither files nor folders are for the person to say.
  const valued = new Set(
    entries.flatMap(({ options }) =>
      options
        .filter(({ required }) => required)
        .flatMap(({ short, long }) => [short, long].filter((name) => name !== undefined)),
    ),
  );
  return `# Completions of coderunner for bash.
_coderunner() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words files=no
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W '${entries.map(({ name }) => name).join(' ')} help --help --version' -- "$current"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) return ;;
  esac
  case $previous in
    --stdin) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --out) COMPREPLY=($(compgen -d -- "$current")); return ;;
    ${[...valued].join('|')}) return ;;
  esac
  if [[ $files == yes && $current != -* ]]; then
    COMPREPLY=($(compgen -f -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -o filenames -F _coderunner coderunner
`;
}

function zsh(entries: readonly Entry[]): string {
  const quote = (text: string) => text.replaceAll("'", "'\\''").replaceAll(/[[\]:]/g, '\\$&');
  const cases = entries.map(({ name, options, subcommands, takesFile }) => {
    const specs = options.map(
      ({ long, description, required }) => `'*${long}[${quote(description)}]${required ? ':value:_files' : ''}'`,
    );
    const rest = takesFile ? "'*:file:_files'" : `'*:argument:(${subcommands.join(' ')})'`;
    return `    ${name}) _arguments ${[...specs, rest].join(' ')} ;;`;
  });
  return `#compdef coderunner
# Completions of coderunner for zsh.
_coderunner() {
  if (( CURRENT == 2 )); then
    local -a commands=(
${entries.map(({ name, description }) => `      '${name}:${quote(description)}'`).join('\n')}
    )
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
compdef _coderunner coderunner
`;
}

function fish(entries: readonly Entry[]): string {
  const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = entries.flatMap(({ name, description, options, subcommands, takesFile }) => {
    const within = `complete -c coderunner -n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c coderunner -n __fish_use_subcommand -a ${name} -d ${quote(description)}`,
      ...options.map(({ long, short, description: about, required }) =>
        [
          within,
          `-l ${long?.slice(2)}`,
          ...(short ? [`-s ${short.slice(1)}`] : []),
          ...(required ? ['-r'] : []),
          `-d ${quote(about)}`,
        ].join(' '),
      ),
      ...(subcommands.length > 0 ? [`${within} -a '${subcommands.join(' ')}'`] : []),
      ...(takesFile ? [`${within} -F`] : []),
    ];
  });
  return `# Completions of coderunner for fish.\ncomplete -c coderunner -f\n${lines.join('\n')}\n`;
}
