#!/bin/sh
# What the daemon asks of Go: `packages registries` says where modules come from; `packages install` puts those of the go.mod in the
# present folder into a module cache, the folder `packages` beside it.
set -eu
export GOENV=off GOTOOLCHAIN=local GOTELEMETRY=off GOFLAGS=-modcacherw
export GOCACHE=/tmp/go-build GOPATH=/tmp/go
# Modules come from proxies only: fetching from where they are developed would need more tools, and any host.
proxies=$(go env GOPROXY | tr ',|' '\n\n' | grep '^http')

if [ "$1" = registries ]; then
    printf '%s\n' "$proxies" "https://$(go env GOSUMDB)/"
    exit
fi

export SSL_CERT_FILE="$CODERUNNER_CA" GOMODCACHE="$PWD/packages"
if [ -n "$CODERUNNER_REGISTRY" ]; then
    # What a mirror has may be known to nobody else; go.sum still holds.
    export GOPROXY="$CODERUNNER_REGISTRY" GOSUMDB=off
else
    GOPROXY=$(printf '%s' "$proxies" | tr '\n' ',')
    export GOPROXY
fi
mkdir -p packages
exec go mod download
