#!/bin/sh
# Makes the program of a Rust file: `compile EDITION PROFILE ENTRY`. A file below a Cargo.toml belongs to that package, and cargo makes the
# program that the file is a part of; any other is compiled as it is. The program becomes `.coderunner/main` below the working directory.
# Until it is known to be a package, nothing but the compiler is started. A compiler that waits (warm/) asks for that one's arguments only, a line
# each, by CODERUNNER_PRINT_ARGUMENTS; exit code 3 says that they are not enough.
set -eu
edition=$1 profile=$2 entry=$3

mkdir -p .coderunner
package=$entry
while
  case $package in
    */*) package=${package%/*} ;;
    *) package=. ;;
  esac
  [ ! -f "$package/Cargo.toml" ]
do
  [ "$package" = . ] || continue
  case $profile in
    release) set -- -C opt-level=3 ;;
    *) set -- ;;
  esac
  # The compiler calls the program after its file, and refuses where that is no name.
  file=${entry##*/}
  case ${file%.rs} in
    -* | *[!A-Za-z0-9_-]*) set -- "$@" --crate-name program ;;
  esac
  # Panics tell their places without the debug information of the standard library, which is most of what there is to link.
  set -- --edition "$edition" -C strip=debuginfo "$@" -o .coderunner/main "$entry"
  [ -n "${CODERUNNER_PRINT_ARGUMENTS-}" ] || exec rustc "$@"
  case $entry in
    *'
'*) exit 3 ;;
  esac
  printf '%s\n' "$@"
  exit
done

[ -z "${CODERUNNER_PRINT_ARGUMENTS-}" ] || exit 3

# The parts of a package that are programs, by the folders that cargo gives them.
inside=${entry#"$package"/}
case $inside in
  src/bin/*/*) name=${inside#src/bin/} && set -- --bin "${name%%/*}" ;;
  src/bin/*) name=${inside#src/bin/} && set -- --bin "${name%.rs}" ;;
  examples/*/*) name=${inside#examples/} && set -- --example "${name%%/*}" ;;
  examples/*) name=${inside#examples/} && set -- --example "${name%.rs}" ;;
  *) set -- --bins ;;
esac
case $profile in
  release) set -- "$@" --release ;;
esac

export CARGO_HOME="${CARGO_HOME:-/tmp/cargo}" CARGO_INCREMENTAL=0 CARGO_TERM_QUIET=true
export CARGO_PROFILE_DEV_DEBUG=false CARGO_PROFILE_DEV_STRIP=debuginfo
# Cargo calls files as they are called from the package's folder; here all begins at the workspace.
[ "$package" = . ] || CARGO_ENCODED_RUSTFLAGS=$(printf -- '--remap-path-prefix=src=%s/src\037--remap-path-prefix=examples=%s/examples' "$package" "$package")
[ "$package" = . ] || export CARGO_ENCODED_RUSTFLAGS
# One line of JSON for each thing made; those that can be executed are the programs, with the file that each begins with.
made=$(cargo build --offline --manifest-path "$package/Cargo.toml" --target-dir .coderunner/target \
  --message-format json-render-diagnostics "$@") || exit
programs=$(printf '%s\n' "$made" | sed -n 's/.*"src_path":"\([^"]*\)".*"executable":"\([^"]*\)".*/\1\t\2/p')
chosen=$(printf '%s\n' "$programs" | awk -F '\t' -v entry="$PWD/${entry#./}" -v usual="/src/main.rs" '
  $1 == entry { exact = $2 }
  substr($1, length($1) - length(usual) + 1) == usual { main = $2 }
  { last = $2 }
  END { print exact != "" ? exact : main != "" ? main : NR == 1 ? last : "" }')
if [ -z "$chosen" ]; then
  echo "$package/Cargo.toml has no program that begins with $inside: name one of its src/bin/, or src/main.rs." >&2
  exit 1
fi
mv -- "$chosen" .coderunner/main
