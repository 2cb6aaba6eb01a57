"""A built image: what is in it and what is not, and a turn that its worker and its gateway decide on a real Kafka."""

import asyncio
import json
import os
import signal
import socket
import uuid

import httpx2 as httpx

import shared_broker
from waiting import until

USER = 10001
FORBIDDEN = ("gcc", "cc", "g++", "clang", "ld", "as", "make", "pip", "pip3", "java", "valkey-server")


def test_it_has_no_compiler_and_no_installer_and_runs_as_nobody_with_a_read_only_root(image, tmp_path):
    code, out = image.run(
        "python", "-c",
        "import json, os, shutil, sys; from importlib.util import find_spec\n"
        "def writes(folder):\n"
        "    try: open(folder + '/x', 'w'); return True\n"
        "    except OSError: return False\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(json.dumps({'user': [os.getuid(), os.getgid(), os.getgroups()], 'caps': int(status['CapEff'], 16),\n"
        "  'found': [name for name in sys.argv[1:] if shutil.which(name)], 'pip': find_spec('pip') is not None,\n"
        "  'written': [d for d in ('/', '/opt/endocrine', '/etc', '/tmp', '/var/lib/endocrine') if writes(d)]}))",
        *FORBIDDEN, log=tmp_path / "log",
    )  # fmt: skip
    assert code == 0, out
    assert json.loads(out) == {
        "user": [USER, USER, []],
        "caps": 0,
        "found": [],
        "pip": False,
        "written": ["/tmp", "/var/lib/endocrine"],
    }


def test_no_key_and_no_program_with_the_owners_rights_is_in_it(image):
    found = []
    for folder, _, files in os.walk(image.root / "opt/endocrine"):
        found += [name for name in files if name.endswith((".keys", ".key", ".env", "pip.conf"))]
        found += [name for name in files if os.lstat(os.path.join(folder, name)).st_mode & 0o6000]
    assert found == []
    assert not (image.root / "etc/pip.conf").exists() or not (image.root / "etc/pip.conf").read_text()
    assert not list((image.root / "run/secrets").glob("*"))


def test_its_bill_of_materials_names_every_python_package_and_the_base(image, tmp_path):
    bill = json.loads((image.root / "opt/endocrine/sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "endocrine")
    listed = {part["name"].lower().replace("_", "-") for part in bill["components"]}
    code, out = image.run(
        "python", "-c", "import importlib.metadata as m; print(*[d.name for d in m.distributions()])",
        log=tmp_path / "log",
    )  # fmt: skip
    assert code == 0, out
    installed = {name.lower().replace("_", "-") for name in out.split()} - {"endocrine"}
    assert len(installed) > 50
    assert installed <= listed
    assert any(part.get("purl", "").startswith("pkg:deb/debian/libc6@") for part in bill["components"])


async def test_its_worker_and_its_gateway_decide_a_turn_and_stop_when_asked(image, tmp_path):
    bootstrap, redis_url, *_ = await asyncio.to_thread(shared_broker.addresses)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, key = image.run("endocrine", "seal-key", log=tmp_path / "key.log")
    assert code == 0, key
    keys = image.secrets / "seal.keys"
    keys.write_text(key)
    os.chown(keys, USER, USER)
    keys.chmod(0o400)
    environment = {
        "ENDOCRINE_BOOTSTRAP": bootstrap,
        "ENDOCRINE_REDIS_URL": redis_url,
        "ENDOCRINE_PREFIX": f"image{uuid.uuid4().hex[:8]}.",
        "ENDOCRINE_PARTITIONS": "1",
        "ENDOCRINE_SEAL_KEY_FILE": "/run/seal.keys",
        "ENDOCRINE_GATEWAY_PORT": str(port),
    }
    logs = {role: tmp_path / f"{role}.log" for role in ("worker", "gateway")}
    running = {role: image.start("endocrine", role, log=log, **environment) for role, log in logs.items()}
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:

            async def ready():
                assert all(process.poll() is None for process in running.values()), said(logs)
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, 120)
            risky = {"name": "alignment_risk", "level": 0.8}
            turn = {"identity": "ann", "prompt": "Delete everything?", "signals": [risky], "audit_id": "t1"}

            async def decided():
                answer = await client.post("/v1/turns", json=turn)
                return answer.json() if answer.status_code in (200, 201) else None

            answer = await until(decided, 120)
        assert (answer["mode"], answer["admitted"]) == ("strict", True), said(logs)
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        codes = {role: await asyncio.to_thread(process.wait, 60) for role, process in running.items()}
    assert codes == {"worker": 0, "gateway": 0}, said(logs)


def said(logs):
    return "\n".join(f"--- {role}\n{log.read_text(errors='replace')[-3000:]}" for role, log in logs.items())
