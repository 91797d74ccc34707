#!/usr/bin/env bash
# Builds the images of this directory without Docker: Debian's packages by mmdebstrap and apt, Python's by pip, put
# together by umoci. Each image becomes a directory in the OCI layout (tag `latest`) that `thaw deploy`, skopeo and podman
# read. Layers are kept in the directory's cache and shared as images from one registry share theirs:
#
#   debian -> python -> the image's Debian packages -> its Python packages -> its own files
#
# The same packages give the same bytes: times are those of Debian's release, names are sorted, bytecode has no times.
#
# usage: build.sh [--slim] DIRECTORY [IMAGE...]
#
# --slim: Python on the bare libraries it needs, as they are in Debian's packages, without apt, shell or bytecode. It takes a
# third of the time, for tests.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C.UTF-8 TZ=UTC

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
security=${DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}
site=usr/local/lib/python3.11/dist-packages

fail() {
  echo "build.sh: $*" >&2
  exit 1
}

is_slim=false
if [ "${1:-}" = --slim ]; then
  is_slim=true
  shift
fi
[ "$#" -ge 1 ] || fail "usage: build.sh [--slim] DIRECTORY [IMAGE...]"
[ "$(id -u)" -eq 0 ] || fail "needs root, as the files of an image belong to its users"
for program in mmdebstrap umoci skopeo bwrap python3 curl; do
  command -v "$program" >/dev/null || fail "not installed: $program"
done
python3 -m pip --version >/dev/null 2>&1 || fail "not installed: pip"

mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
names=("$@")
[ "${#names[@]}" -gt 0 ] || names=(flask machine-learning chrome inference)
for name in "${names[@]}"; do [ -f "$here/$name/recipe.sh" ] || fail "there is no image $name"; done

cache=$out/cache
layout=$cache/layers
mkdir -p "$cache"
# Two builds at once would write one cache.
exec 9>"$cache/lock"
flock 9
[ -f "$layout/index.json" ] || { rm -rf "$layout" && umoci init --layout "$layout"; }
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# All of the list is read: a pipe that is closed early would count as a failure of umoci.
has() { umoci ls --layout "$layout" | grep -xF "$1" >/dev/null; }

# The newest of Debian's releases: no file of a package is younger, so that no bytecode outlives its source.
if [ ! -s "$cache/epoch" ]; then
  for release in "$mirror/dists/$suite" "$security/dists/$suite-security"; do
    date=$(curl -fsSL "$release/Release" | sed -n 's/^Date: //p')
    date -d "$date" +%s
  done | sort -n | tail -1 >"$work/epoch"
  mv "$work/epoch" "$cache/epoch"
fi
SOURCE_DATE_EPOCH=$(cat "$cache/epoch")
export SOURCE_DATE_EPOCH
script=$(sha256sum <"$here/build.sh")
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)

# Runs a command in an unpacked image, as root and with the network: inside DIRECTORY [BWRAP-OPTION...] -- COMMAND...
inside() {
  local root=$1
  shift
  bwrap --bind "$root" / --dev /dev --proc /proc --tmpfs /tmp --tmpfs /run --unshare-pid --unshare-ipc \
    --die-with-parent --cap-add ALL --clearenv --setenv PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    --setenv HOME /root --setenv LC_ALL C.UTF-8 --setenv DEBIAN_FRONTEND noninteractive \
    --setenv PYTHONDONTWRITEBYTECODE 1 --setenv PYTHONHASHSEED 0 "$@"
}

# What tags an image in the cache: equal inputs, equal name.
key() { printf '%s\n' "$@" "$SOURCE_DATE_EPOCH" "$script" | sha256sum | cut -c 1-32; }

# Adds a directory as one layer: add_layer PARENT-TAG TAG DIRECTORY HISTORY
add_layer() {
  tar --create --file "$work/layer.tar" --directory "$3" --sort=name --format=pax \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    --numeric-owner --owner=0 --group=0 --mode=u+w,go=u-w --mtime="@$SOURCE_DATE_EPOCH" .
  umoci raw add-layer --image "$layout:$1" --tag "$2" --history.created "$created" --history.created_by "$4" \
    "$work/layer.tar"
  rm "$work/layer.tar"
}

# Prints the tag of the base image: Debian as it is installed, less its manuals and translations.
debian_layer() {
  local tag
  tag=debian-$(key "$suite" "$mirror" "$security")
  if ! has "$tag"; then
    echo "debian: $suite" >&2
    mmdebstrap --quiet --variant=minbase --skip=output/dev --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt='path-exclude=/usr/share/man/*' \
      --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      --customize-hook='rm -rf "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/var/log/*' \
      "$suite" "$work/debian.tar" "deb $mirror $suite main" "deb $security $suite-security main" >&2
    umoci new --image "$layout:new" >&2
    umoci raw add-layer --image "$layout:new" --tag "$tag" --history.created "$created" \
      --history.created_by "mmdebstrap $suite" "$work/debian.tar" >&2
    umoci rm --image "$layout:new" >&2
    rm "$work/debian.tar"
  fi
  echo "$tag"
}

# Prints the tag of a base image with Python and nothing to keep house with.
slim_layer() {
  local tag
  tag=slim-$(key "$suite" "$mirror" "$security")
  if ! has "$tag"; then
    echo "slim: $suite" >&2
    mmdebstrap --quiet --variant=extract --format=directory --skip=output/dev,check/empty --include=python3,base-passwd \
      --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/zoneinfo/*' \
      "$suite" "$work/slim" "deb $mirror $suite main" >&2
    cp "$work/slim/usr/share/base-passwd/passwd.master" "$work/slim/etc/passwd"
    cp "$work/slim/usr/share/base-passwd/group.master" "$work/slim/etc/group"
    rm -rf "$work/slim"/etc/{hostname,resolv.conf,apt,dpkg} "$work/slim"/dev/* "$work/slim"/var/{log,cache,lib}/*
    umoci new --image "$layout:new" >&2
    add_layer new "$tag" "$work/slim" "mmdebstrap $suite" >&2
    umoci rm --image "$layout:new" >&2
    rm -rf "$work/slim"
  fi
  echo "$tag"
}

# Prints the tag of an image with these Debian packages over another: packages_layer PARENT-TAG LABEL PACKAGE...
packages_layer() {
  local parent=$1 label=$2 tag root
  shift 2
  tag=$label-$(key "$parent" "$@")
  if ! has "$tag"; then
    echo "$label: $*" >&2
    umoci unpack --image "$layout:$parent" "$work/bundle" >&2
    root=$work/bundle/rootfs
    touch "$root/etc/resolv.conf"
    inside "$root" --ro-bind /etc/resolv.conf /etc/resolv.conf -- sh -ec '
      apt-get -o APT::Sandbox::User=root update -qq
      apt-get -o APT::Sandbox::User=root install -qq --yes --no-install-recommends "$@" >/dev/null
      apt-get clean
      rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old
      rm -rf /var/cache/ldconfig/aux-cache /var/cache/fontconfig/*
      ' install "$@" >&2
    rm "$root/etc/resolv.conf"
    find "$root" -xdev -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    umoci repack --image "$layout:$tag" --history.created "$created" --history.created_by "apt-get install $*" \
      "$work/bundle" >&2
    rm -rf "$work/bundle"
  fi
  echo "$tag"
}

# Prints the tag of an image with these Python packages over another: python_layer PARENT-TAG REQUIREMENTS
python_layer() {
  local parent=$1 requirements=$2 tag machine platforms=()
  machine=$(uname -m)
  tag=pip-$(key "$parent" "$machine" "$(cat "$requirements")")
  if ! has "$tag"; then
    echo "pip: $(tr '\n' ' ' <"$requirements")" >&2
    for glibc in _2_28 _2_27 _2_26 _2_24 _2_17 2014 _2_12 2010 _2_5 1; do
      platforms+=("--platform=manylinux${glibc}_$machine")
    done
    # The interpreter of the image is meant, whichever the host has.
    python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
      --cache-dir "$cache/pip" --no-deps --no-compile --only-binary=:all: --python-version=3.11 --implementation=cp \
      --abi=cp311 --abi=abi3 --abi=none "${platforms[@]}" --platform=any \
      --target "$work/pip/$site" --requirement "$requirements" >&2
    # Commands would name the interpreter of the host: programs are started by `python3 -m`.
    rm -rf "$work/pip/$site/bin"
    umoci unpack --image "$layout:$parent" "$work/bundle" >&2
    # Bytecode that is taken as it is: the times of its sources are not looked at.
    inside "$work/bundle/rootfs" --bind "$work/pip/$site" "/$site" -- \
      python3 -m compileall -q --invalidation-mode unchecked-hash "/$site" >&2 ||
      echo "some files have no bytecode and are read as they are" >&2
    add_layer "$parent" "$tag" "$work/pip" "pip install --requirement requirements.txt" >&2
    rm -rf "$work/bundle" "$work/pip"
  fi
  echo "$tag"
}

# Builds one image by its recipe, which says some of: packages, command, environment, user, and `prepare`, a last step.
build() {
  local name=$1 directory=$here/$1 tag packages=() command=() environment=() user='' digest
  prepare() { :; }
  # shellcheck source=/dev/null
  . "$directory/recipe.sh"
  if $is_slim; then
    [ "${#packages[@]}" -eq 0 ] || fail "$name needs packages of Debian, which a slim image has not"
    tag=$(slim_layer)
  else
    tag=$(debian_layer)
    tag=$(packages_layer "$tag" python python3)
  fi
  [ "${#packages[@]}" -eq 0 ] || tag=$(packages_layer "$tag" packages "${packages[@]}")
  [ ! -f "$directory/requirements.txt" ] || tag=$(python_layer "$tag" "$directory/requirements.txt")

  local parent=$tag
  tag=$name-$(key "$parent" "$(cd "$directory" && find app recipe.sh -type f -print0 | sort -z | xargs -0 sha256sum)")
  if ! has "$tag"; then
    echo "$name: its own files" >&2
    mkdir -p "$work/files"
    cp -r "$directory/app" "$work/files/app"
    prepare "$parent" "$work/files/app"
    add_layer "$parent" "$tag" "$work/files" "copy app"
    rm -rf "$work/files"
    umoci config --image "$layout:$tag" --no-history --created "$created" --config.workingdir /app \
      --config.user "$user" --config.exposedports 9000/tcp --clear=config.entrypoint --clear=config.cmd \
      "${command[@]/#/--config.cmd=}" "${environment[@]/#/--config.env=}"
  fi
  digest=$(skopeo inspect --format '{{.Digest}}' "oci:$layout:$tag")
  if [ "$(skopeo inspect --format '{{.Digest}}' "oci:$out/$name:latest" 2>/dev/null || true)" != "$digest" ]; then
    rm -rf "$out/$name.new"
    skopeo copy --quiet "oci:$layout:$tag" "oci:$out/$name.new:latest"
    rm -rf "${out:?}/$name"
    mv "$out/$name.new" "$out/$name"
  fi
  echo "$name oci:$out/$name:latest $digest $(du -sm "$out/$name" | cut -f 1) MiB"
}

# For recipes: the image so far, with its files at /app to be written to: in_image PARENT-TAG FILES ... -- COMMAND...
in_image() {
  local parent=$1 files=$2
  shift 2
  umoci unpack --image "$layout:$parent" "$work/bundle"
  mkdir -p "$work/bundle/rootfs/app"
  inside "$work/bundle/rootfs" --bind "$files" /app --chdir /app "$@"
  rm -rf "$work/bundle"
}

for name in "${names[@]}"; do build "$name"; done
