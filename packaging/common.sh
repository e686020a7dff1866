# shellcheck shell=bash
# common.sh - what packaging/start and packaging/test share: messages and packages. Sourced by them.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The names in package lists, without comments.
packages_in() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$@"; }

# Those of the given packages that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      echo "$package"
  done
}

as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  else
    sudo "$@"
  fi
}

# Some packages bring a service. Debian asks policy-rc.d whether it may be started; where nobody else
# has a say, ours answers no until install_packages is done.
policy=/usr/sbin/policy-rc.d
policy_is_ours=no

forbid_services() {
  [[ -e $policy ]] && return
  policy_is_ours=yes
  printf '#!/bin/sh\n# Made by kvs (packaging/common.sh) for the time of an installation.\nexit 101\n' |
    as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
}

allow_services() {
  [[ $policy_is_ours == yes ]] || return 0
  policy_is_ours=no
  as_root rm -f "$policy"
}

# Installs the given packages, as far as they are missing, without starting what they bring.
install_packages() {
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    die "this needs Debian's apt-get; elsewhere install what packaging/packages-* list by hand"
  local missing
  mapfile -t missing < <(missing_packages "$@")
  if [[ ${#missing[@]} -eq 0 ]]; then
    say "all packages are installed"
    return
  fi
  [[ $EUID -eq 0 ]] || command -v sudo >/dev/null ||
    die "cannot install packages: neither root nor sudo. As root: apt-get install ${missing[*]}"

  say "installing ${missing[*]}"
  # apt-get waits for another one that is running, and never asks.
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  as_root "${apt[@]}" update </dev/null || die "apt-get update failed; is there a network?"
  trap allow_services EXIT
  forbid_services
  as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2 ||
    die "apt-get could not install: ${missing[*]}"
  allow_services
}

# Configures and builds a preset: build PRESET [cmake option or build target ...]
# What begins with -D goes to the configuration, the rest are targets (none: everything).
build_preset() {
  local preset=$1 options=() targets=() argument
  shift
  for argument in "$@"; do
    if [[ $argument == -D* ]]; then options+=("$argument"); else targets+=("$argument"); fi
  done
  if [[ -e $root/build && ! -w $root/build ]]; then
    die "$root/build belongs to another user (an earlier run as root?); remove it first"
  fi
  say "building $preset"
  (
    cd "$root"
    cmake --preset "$preset" "${options[@]}" >&2
    if [[ ${#targets[@]} -gt 0 ]]; then
      cmake --build --preset "$preset" --target "${targets[@]}" >&2
    else
      cmake --build --preset "$preset" >&2
    fi
  )
}
