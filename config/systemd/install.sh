#!/bin/sh
# Installs Roundsman as a service of systemd, from a checkout or an unpacked npm package. Run it again to
# upgrade. Nothing is started, and no file in /etc/roundsman is overwritten.
set -eu
umask 022

usage() {
  cat <<'TEXT'
Usage: install.sh [--prefix DIR] [--node FILE]
       install.sh --uninstall [--purge] [--prefix DIR]

  --prefix DIR   /usr/local (default) or /usr: where bin/roundsman and the files of systemd go
  --node FILE    the Node to use, 24.15 or newer; default: the `node` of the PATH
  --uninstall    removes the program and the service; keeps /etc/roundsman, /var/lib/roundsman and the user
  --purge        removes these too: every backup is gone. A state_dir elsewhere is left alone

The program itself goes to /opt/roundsman. With $DESTDIR everything goes below that directory, and neither
root nor systemd is needed.
TEXT
}

fail() {
  printf 'install.sh: %s\n  → %s\n' "$1" "$2" >&2
  exit "${3:-1}"
}

# The files of this script's own distribution: two directories up.
source_dir() {
  (cd "$(dirname "$1")/../.." && pwd -P)
}

# Prints the absolute path of a Node that is new enough and that the service can reach.
find_node() {
  candidate=${1:-$(command -v node || true)}
  if [ ! -x "$candidate" ]; then
    fail "no Node was found${1:+ at $1}" 'install Node 24 from https://nodejs.org, or name one with --node'
  fi
  # shellcheck disable=SC2016  # JavaScript, not the shell
  "$candidate" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 24 || (a == 24 && b >= 15) ? 0 : 1)' ||
    fail "$candidate is older than Node 24.15" 'install Node 24 from https://nodejs.org, or name one with --node'
  candidate=$(cd "$(dirname "$candidate")" && pwd)/$(basename "$candidate")
  if [ -z "$dest" ]; then
    case $(readlink -f "$candidate") in
    /home/* | /root/* | /tmp/* | /run/user/*)
      fail "$candidate lies where the service cannot see it (ProtectHome=, PrivateTmp=)" \
        'install Node for everybody, such as below /usr/local, and name it with --node'
      ;;
    esac
  fi
  printf '%s\n' "$candidate"
}

# What the program needs, file by file: a checkout also holds keys and settings that `roundsman init` made.
copy_tree() {
  mkdir -p "$2/config"
  if [ -d "$1/src" ]; then cp -R "$1/bin" "$1/src" "$2/"; else cp -R "$1/bin" "$1/dist" "$2/"; fi
  cp "$1/package.json" "$2/"
  for name in package-lock.json npm-shrinkwrap.json devices.example.yaml LICENSE README.md docs; do
    if [ -e "$1/$name" ]; then cp -R "$1/$name" "$2/"; fi
  done
  cp "$1"/config/*.example.yaml "$2/config/"
  for name in systemd prometheus grafana; do
    if [ -d "$1/config/$name" ]; then cp -R "$1/config/$name" "$2/config/"; fi
  done
}

# Neither optional native code nor install scripts: nothing is compiled, nothing foreign runs as root.
fetch_libraries() {
  flags='--omit=dev --omit=optional --ignore-scripts --no-audit --no-fund'
  # npm is a script that asks the PATH for its Node.
  PATH=$(dirname "$2"):$PATH
  export PATH
  command -v npm >/dev/null || fail 'npm was not found' 'install npm; it comes with Node'
  # A package from the registry has no lock file, and `npm ci` refuses to work without one.
  if [ -e "$1/package-lock.json" ] || [ -e "$1/npm-shrinkwrap.json" ]; then verb=ci; else verb='install --no-package-lock'; fi
  # shellcheck disable=SC2086  # words, on purpose
  (cd "$1" && npm $verb $flags)
}

write_wrapper() {
  cat >"$1.new" <<TEXT
#!/bin/sh
# Written by install.sh. The service and the commands have to look for the control socket in one place.
: "\${RUNTIME_DIRECTORY:=/run/roundsman}"
export RUNTIME_DIRECTORY
exec "$2" /opt/roundsman/bin/roundsman.js "\$@"
TEXT
  chmod 755 "$1.new"
  mv "$1.new" "$1"
}

install_all() {
  from=$(source_dir "$1")
  [ -f "$from/bin/roundsman.js" ] || fail "$from holds no Roundsman" 'run config/systemd/install.sh of a checkout or a package'
  [ -d "$from/src" ] || [ -d "$from/dist" ] || fail "$from has neither src nor dist" 'unpack the package again'
  node_file=$(find_node "$node")
  [ "$from" != "$(cd "$opt" 2>/dev/null && pwd -P)" ] ||
    fail "$from is the installed copy itself" 'run the install.sh of the new version'

  rm -rf "$opt.new" "$opt.old"
  mkdir -p "$opt.new"
  copy_tree "$from" "$opt.new"
  fetch_libraries "$opt.new" "$node_file"
  # A checkout made under umask 077 would be unreadable for the service.
  chmod -R u=rwX,go=rX "$opt.new"
  if [ "$(id -u)" = 0 ]; then chown -hR 0:0 "$opt.new"; fi
  if [ -e "$opt" ]; then mv "$opt" "$opt.old"; fi
  mv "$opt.new" "$opt"
  rm -rf "$opt.old"

  mkdir -p "$dest$prefix/bin" "$dest$prefix/lib/systemd/system" "$dest$prefix/lib/sysusers.d" "$dest$prefix/lib/tmpfiles.d"
  write_wrapper "$wrapper" "$node_file"
  for name in roundsman.service roundsman-verify.service roundsman-verify.timer; do
    sed "s|/usr/local/bin/|$prefix/bin/|" "$from/config/systemd/$name" >"$units/$name"
    chmod 644 "$units/$name"
  done
  cp "$from/config/systemd/roundsman.sysusers.conf" "$sysusers"
  cp "$from/config/systemd/roundsman.tmpfiles.conf" "$tmpfiles"
  chmod 644 "$sysusers" "$tmpfiles"

  if [ ! -d "$etc" ]; then
    mkdir -p "$etc"
    chmod 750 "$etc"
  fi
  for example in "$from/config/roundsman.example.yaml" "$from/devices.example.yaml"; do
    copy=$etc/$(basename "$example")
    if [ ! -e "$copy" ]; then
      cp "$example" "$copy"
      chmod 644 "$copy"
    fi
  done

  if [ -n "$dest" ]; then return; fi
  if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers "$sysusers"
    systemd-tmpfiles --create "$tmpfiles"
  fi
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
  if [ -e /etc/roundsman/roundsman.yaml ]; then
    echo 'Installed. Next: systemctl restart roundsman'
  else
    echo 'Installed. Next: /opt/roundsman/docs/operations.md, "The first device"'
  fi
}

uninstall() {
  if [ -z "$dest" ] && [ -d /run/systemd/system ]; then
    for name in roundsman-verify.timer roundsman.service; do
      if [ -e "$units/$name" ]; then systemctl disable --now "$name"; fi
    done
  fi
  rm -rf "$opt" "$opt.new" "$opt.old"
  rm -f "$wrapper" "$units/roundsman.service" "$units/roundsman-verify.service" "$units/roundsman-verify.timer" \
    "$sysusers" "$tmpfiles"
  if [ "$purge" = yes ]; then
    rm -rf "$etc" "$dest/var/lib/roundsman" "$dest/etc/systemd/system/roundsman.service.d"
    if [ -z "$dest" ] && id roundsman >/dev/null 2>&1; then userdel roundsman; fi
  fi
  if [ -n "$dest" ]; then return; fi
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
  if [ "$purge" = yes ]; then
    echo 'Removed, with its configuration and every backup.'
  else
    echo 'Removed. Kept: /etc/roundsman, /var/lib/roundsman and the user roundsman.'
  fi
}

# All of it is read before any of it runs: --uninstall removes this very file.
main() {
  prefix=/usr/local
  node=
  action=install
  purge=no
  self=$1
  shift
  while [ $# -gt 0 ]; do
    case $1 in
    --prefix | --node)
      [ $# -ge 2 ] || fail "$1 needs a value" 'install.sh --help' 2
      if [ "$1" = --prefix ]; then prefix=$2; else node=$2; fi
      shift
      ;;
    --uninstall) action=uninstall ;;
    --purge) purge=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) fail "unknown argument $1" 'install.sh --help' 2 ;;
    esac
    shift
  done
  case $prefix in
  /usr | /usr/local) ;;
  *) fail "--prefix $prefix: systemd looks for no unit there" 'use /usr/local or /usr' 2 ;;
  esac
  [ "$purge" = no ] || [ "$action" = uninstall ] || fail '--purge without --uninstall' 'install.sh --help' 2

  dest=${DESTDIR:-}
  case $dest in
  '' | /?*) ;;
  *) fail "DESTDIR=$dest is not an absolute path below /" 'name the directory from / on' 2 ;;
  esac
  [ -n "$dest" ] || [ "$(id -u)" = 0 ] || fail 'only root can install a service' 'run it with sudo, or set DESTDIR'
  opt=$dest/opt/roundsman
  etc=$dest/etc/roundsman
  wrapper=$dest$prefix/bin/roundsman
  units=$dest$prefix/lib/systemd/system
  sysusers=$dest$prefix/lib/sysusers.d/roundsman.conf
  tmpfiles=$dest$prefix/lib/tmpfiles.d/roundsman.conf

  if [ "$action" = install ]; then install_all "$self"; else uninstall; fi
}

main "$0" "$@"
