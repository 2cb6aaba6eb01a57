"""The root of a built image, and commands in it: read-only, without a capability, as the image's user.

No container engine is needed: the kernel's own means take its place, by util-linux. In a mount namespace the root is
mounted read-only, with a tmpfs where a process may write; then root and user are changed. The network is that of this
machine. `make image-test` names the image; elsewhere these tests are skipped.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

IMAGE = "ENDOCRINE_IMAGE"
"""Environment variable: the image in buildah's storage that is tried."""
USER = 10001
ENTER = """
set -eu
cd /
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$ROOT/tmp"
mount -t tmpfs -o size=64m,mode=0700,uid=$OWNER,gid=$OWNER tmpfs "$ROOT/var/lib/endocrine"
mount --bind "$SECRETS" "$ROOT/run"
mount -o remount,bind,ro "$ROOT/run"
mount -t tmpfs -o size=1m,mode=0755 tmpfs "$ROOT/dev"
for name in null zero random urandom; do
  touch "$ROOT/dev/$name"
  mount --bind "/dev/$name" "$ROOT/dev/$name"
done
exec chroot --userspec="$OWNER:$OWNER" --groups= "$ROOT" setpriv --no-new-privs env -i """


class Image:
    """A built image: its root, its environment, and how to run a command in it."""

    def __init__(self, root: Path, secrets: Path, environment: dict[str, str]) -> None:
        self.root, self.secrets, self.environment = root, secrets, environment

    def start(self, *argv: str, log: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command as the image's user; its output goes to the log."""
        inner = [f"{name}={value}" for name, value in (self.environment | environment).items()]
        outer = {"ROOT": str(self.root), "SECRETS": str(self.secrets), "OWNER": str(USER), "PATH": os.environ["PATH"]}
        with log.open("wb") as out:
            return subprocess.Popen(
                ["unshare", "--mount", "bash", "-c", ENTER + shlex.join([*inner, *argv])],
                env=outer, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    def run(self, *argv: str, log: Path, **environment: str) -> tuple[int, str]:
        """Run a command to its end: exit code and output."""
        code = self.start(*argv, log=log, **environment).wait(timeout=120)
        return code, log.read_text(errors="replace")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image that is named, mounted; secrets: a folder that is /run in it."""
    name = os.environ.get(IMAGE)
    if name is None:
        pytest.skip(f"{IMAGE} names no image; `make image-test` builds one and names it")
    if os.geteuid() != 0 or shutil.which("buildah") is None:
        pytest.skip("buildah and root are needed to mount an image")
    secrets = tmp_path_factory.mktemp("secrets")
    secrets.chmod(0o755)

    def buildah(*argv: str) -> str:
        return subprocess.run(["buildah", *argv], check=True, capture_output=True, text=True).stdout.strip()

    form = "{{range .OCIv1.Config.Env}}{{println .}}{{end}}"
    listed = buildah("inspect", "--type", "image", "--format", form, name).split("\n")
    environment = dict(line.split("=", 1) for line in listed if line)
    container = buildah("from", "--pull-never", name)
    try:
        yield Image(Path(buildah("mount", container)), secrets, environment)
    finally:
        buildah("rm", container)
