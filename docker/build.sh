#!/usr/bin/env bash
# Build the image endocrine:COMMIT (and :latest) with buildah, and write its bill of materials into build/.
#
# BASE=IMAGE names another base, such as python:3.11-slim-bookworm from a registry; by default docker/base.sh makes it.
# The package index and its CA certificates are those that pip is configured for here; neither is kept in the image.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in buildah python3; do
  command -v "$tool" >/dev/null || { echo "error: $tool is needed (Debian: apt-get install $tool mmdebstrap)" >&2; exit 1; }
done
if [[ -n ${BASE:-} ]]; then
  bases=("$BASE" "$BASE")
else
  command -v mmdebstrap >/dev/null || { echo "error: mmdebstrap is needed to make the base (or name one: BASE=IMAGE)" >&2; exit 1; }
  mapfile -t bases < <(docker/base.sh)
fi
build=$(git rev-parse --short=12 HEAD 2>/dev/null || true)
secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT
python3 -m pip config list | python3 -c '
import ast, shutil, sys
folder = sys.argv[1]
wanted = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
lines, ca = ["[global]"], ""
for line in sys.stdin:  # those of the environment come last, and win here as they do in pip
    name, _, value = line.strip().partition("=")
    name = name.rpartition(".")[2]
    if name in wanted:
        lines.append(name + " = " + " ".join(ast.literal_eval(value).split()))
    elif name == "cert":
        ca = ast.literal_eval(value)
if ca:
    shutil.copyfile(ca, folder + "/ca.pem")
    lines.append("cert = /run/secrets/ca.pem")
names = dict(line.split(" = ", 1) for line in lines[1:])
open(folder + "/pip.conf", "w").write("\n".join([lines[0], *(f"{name} = {value}" for name, value in names.items())]) + "\n")
open(folder + "/ca.pem", "a").close()
' "$secrets"
image="localhost/endocrine:${build:-unknown}"
buildah bud --quiet --isolation chroot --layers -f docker/Dockerfile -t "$image" -t localhost/endocrine:latest \
  --build-arg BASE="${bases[0]}" --build-arg BUILDER="${bases[1]}" --build-arg BUILD="$build" \
  --secret id=pip.conf,src="$secrets/pip.conf" --secret id=ca,src="$secrets/ca.pem" . >/dev/null
mkdir -p build
container=$(buildah from --pull-never "$image")
root=$(buildah mount "$container")
cp "$root/opt/endocrine/sbom.cdx.json" build/endocrine-image.cdx.json
buildah rm "$container" >/dev/null
echo "$image: $(buildah inspect --type image --format '{{.FromImageDigest}}' "$image")"
echo "build/endocrine-image.cdx.json: $(grep -c '"purl"' build/endocrine-image.cdx.json) packages"
