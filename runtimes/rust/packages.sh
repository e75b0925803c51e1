#!/bin/sh
# What the daemon asks of cargo: `packages registries` says where crates come from; `packages install` puts those of the Cargo.toml in the
# present folder, and its lock file's versions, into the folder `packages` beside it, which becomes cargo's home when it is mounted.
set -eu
# Cargo has no command that tells: its index is written in it, and the index's domain serves the crates.
index=$(grep -aoE 'sparse\+https://index\.[a-z0-9.-]+/' /usr/bin/cargo | head -n 1)
index=${index#sparse+}

if [ "$1" = registries ]; then
    domain=${index#https://index.}
    printf '%s\n' "$index" "https://static.$domain"
    exit
fi

export CARGO_HOME=/tmp/cargo CARGO_HTTP_CAINFO="$CODERUNNER_CA" CARGO_NET_RETRY=1 CARGO_HTTP_MULTIPLEXING=false
export CARGO_HTTP_PROXY="$HTTP_PROXY"
mkdir -p "$CARGO_HOME" packages
if [ -n "$CODERUNNER_REGISTRY" ]; then
    printf '[source.crates-io]\nreplace-with = "mirror"\n[source.mirror]\nregistry = "sparse+%s/"\n' "${CODERUNNER_REGISTRY%/}" \
        > "$CARGO_HOME/config.toml"
fi

# Cargo wants to see the sources that a manifest is about; which there are makes no difference to what it needs.
find . -name Cargo.toml -not -path './packages/*' | while read -r manifest; do
    folder=${manifest%/*}
    mkdir -p "$folder/src"
    touch "$folder/src/main.rs" "$folder/src/lib.rs"
    sed -nE 's/^[[:space:]]*path[[:space:]]*=[[:space:]]*"([^"]*\.rs)".*/\1/p' "$manifest" | while read -r source; do
        mkdir -p "$folder/$(dirname "$source")"
        touch "$folder/$source"
    done
done
if [ -f Cargo.lock ]; then set -- --locked; else set --; fi
cargo vendor --versioned-dirs --respect-source-config "$@" packages/vendor > /dev/null
printf '[source.crates-io]\nreplace-with = "packages"\n[source.packages]\ndirectory = "/packages/vendor"\n' > packages/config.toml
