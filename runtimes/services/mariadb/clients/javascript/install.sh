# mysql2 in /node_modules, where both `require` and `import` look for what is not nearer to the program.
cd "$(dirname "$0")"
if [ -s /tmp/ca/ca-bundle.crt ]; then export npm_config_cafile=/tmp/ca/ca-bundle.crt; fi
export npm_config_cache=/tmp/npm
node /opt/coderunner/npm/bin/npm-cli.js ci --ignore-scripts --no-audit --no-fund
find node_modules \( -name '*.md' -o -name '*.map' \) -delete
if [ "$LANGUAGE" != typescript ]; then rm -r node_modules/@types node_modules/undici-types; fi
mv node_modules /node_modules
rm -r /tmp/npm
