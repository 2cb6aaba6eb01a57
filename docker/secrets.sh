#!/usr/bin/env bash
# Make what docker/compose.yaml and docker/kubernetes read as secrets, in docker/secrets; what is there stays.
# The provider's key comes from OPENAI_API_KEY. The gateway's first API key is printed, once.
set -euo pipefail
export PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH"
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets
[[ -s seal.keys ]] || endocrine seal-key > seal.keys
[[ -s gateway.keys ]] || endocrine keys create first --file "$PWD/gateway.keys"
[[ -s model.key ]] || { [[ -n ${OPENAI_API_KEY:-} ]] && printf %s "$OPENAI_API_KEY" > model.key; } || {
  echo "docker/secrets/model.key is missing: set OPENAI_API_KEY and run this again, or write the file" >&2; exit 1; }
[[ -s grafana.password ]] || python3 -c 'import secrets; print(secrets.token_urlsafe(24), end="")' > grafana.password
# Without swarm, compose mounts these files with their owner: the image's user must be able to read them.
if ((EUID == 0)); then chown 10001:10001 seal.keys gateway.keys model.key; chown 472 grafana.password; else
  echo "docker/secrets: not root, so give the files to user 10001 (grafana.password: 472), or compose cannot read them" >&2
fi
