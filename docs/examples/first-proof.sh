#!/usr/bin/env bash
# From a binary and an Express app to the proof of its race, in a home of its own: what is typed, and how long each command takes.
#
#     docs/examples/first-proof.sh BINARY [APP]
#
# APP is a folder with server.js and its packages installed; that of this repository is the default.
set -euo pipefail
binary=$(realpath "$1")
app=$(realpath "${2:-$(dirname "$0")/express}")
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cp -r "$app" "$home/app"
cd "$home/app"
export HOME=$home PATH="$home/bin:$PATH" XDG_CACHE_HOME="$home/.cache"
typed=0
waited=0

# Carries out what would be typed, and adds its time.
type_in() {
  local expected=$1 code=0 from to
  printf '$ %s\n' "$2"
  from=$(date +%s%N)
  bash -c "$2" 2>&1 || code=$?
  to=$(date +%s%N)
  typed=$((typed + 1))
  waited=$((waited + (to - from) / 1000000))
  printf '  (%d ms)\n' $(((to - from) / 1000000))
  [ "$code" = "$expected" ] || { printf 'exit %s, not %s\n' "$code" "$expected"; exit 1; }
}

type_in 0 "install -D $binary ~/bin/onlyone"
type_in 0 "onlyone init --curl 'curl -X POST http://app/chats --json \"{\\\"with\\\": \\\"bob\\\"}\"' --out chats.toml -- node server.js"
type_in 1 "onlyone explore chats.toml"
printf '%d commands, %d ms of waiting\n' "$typed" "$waited"
