#!/usr/bin/env bash
# Make the two images that docker/Dockerfile begins with, from Debian's signed packages, with no image registry: BASE with
# Python and CA certificates, BUILDER with what `python3 -m venv` needs besides. Kept in the storage of buildah, and made
# again where this file changes. Prints their names, the first in the first line. Needs buildah, mmdebstrap and root.
set -euo pipefail
suite=bookworm
tag="$suite-$(sha256sum "$0" | cut -c 1-12)"

make_image() { # name, packages
  local name="localhost/$1:$tag"
  if ! buildah inspect --type image "$name" >/dev/null 2>&1; then
    local folder container
    folder=$(mktemp -d)
    # Manual pages and translations are left out, licences are not.
    mmdebstrap --quiet --variant=minbase --include="$2" \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
      --customize-hook='rm -rf "$1"/var/cache/* "$1"/var/log/* "$1"/etc/machine-id' \
      "$suite" "$folder/root.tar" >&2
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$folder/root.tar" / >&2
    buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd python3 "$container"
    buildah commit --quiet --rm "$container" "$name" >&2
    rm -rf "$folder"
  fi
  echo "$name"
}

make_image endocrine-base ca-certificates,python3
make_image endocrine-builder ca-certificates,python3,python3-venv
