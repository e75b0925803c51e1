#!/bin/sh
# What the daemon asks of npm: `packages registries` says where packages come from, `packages install` puts those of the package.json
# in the present folder, and its lock file's versions, into node_modules beside it.
set -eu

npm() {
    node /opt/coderunner/npm/bin/npm-cli.js "$@"
}

export npm_config_cache=/tmp/npm
export npm_config_update_notifier=false

if [ "$1" = registries ]; then
    cd /
    npm config get registry
    exit
fi

export npm_config_cafile="$CODERUNNER_CA"
if [ -n "$CODERUNNER_REGISTRY" ]; then export npm_config_registry="$CODERUNNER_REGISTRY"; fi
# The daemon's owner decides, for all packages: npm's own list would have to be in the project.
case $CODERUNNER_INSTALL_SCRIPTS in
    on) export npm_config_dangerously_allow_all_scripts=true ;;
    *) export npm_config_ignore_scripts=true ;;
esac

command=install
if [ -f package-lock.json ] || [ -f npm-shrinkwrap.json ]; then command=ci; fi
npm "$command" --no-audit --no-fund --no-progress --fetch-retries=1

# Packages of the project itself are links into it; where the layer is mounted they must not depend on where they are.
mkdir -p node_modules
find node_modules -maxdepth 2 -type l ! -path '*/.bin/*' | while read -r link; do
    target=$(readlink -f "$link")
    case $target in "$PWD"/node_modules/*) ;; *) ln -sfn "$target" "$link" ;; esac
done
