"""What docker/ holds for compose and Kubernetes: valid by their own tools, closed by default, of known settings."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from endocrine.pipeline.process.roles import PARTS

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
MANIFESTS = [*DOCKER.glob("kubernetes/*.yaml"), DOCKER / "kubernetes/worker/worker.yaml"]
OURS = ("worker", "gateway", "model", "tools", "timekeeper", "projector")
ELSEWHERE = {"ENDOCRINE_IMAGE"}
"""Variables that docs/reference/settings.md need not name: of compose itself."""


def tool(name):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed (Debian: {name})")
    return name


def documents():
    return [one for file in MANIFESTS for one in yaml.safe_load_all(file.read_text()) if "metadata" in one]


def workloads():
    found = [one for one in documents() if one["kind"] in ("Deployment", "StatefulSet")]
    return {one["metadata"]["name"].removeprefix("endocrine-"): one for one in found}


def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_compose_itself_takes_the_file():
    argv = [tool("docker-compose"), "-f", str(DOCKER / "compose.yaml"), "config"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)["services"]
    assert shown["model"]["environment"]["ENDOCRINE_MODEL_API_KEY_FILE"] == "/run/secrets/model.key"
    assert "ENDOCRINE_MODEL_API_KEY" not in shown["model"]["environment"]  # read in the container, not here


def test_kustomize_itself_takes_the_manifests():
    for folder in (DOCKER / "kubernetes", DOCKER / "kubernetes/monitoring"):
        done = subprocess.run([tool("kubectl"), "kustomize", str(folder)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", ["1.30", "1.33", "latest"])
def test_every_manifest_is_what_the_schemas_of_kubernetes_ask_for(version):
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    version = validator.latest_version() if version == "latest" else version
    for one in documents():
        if one["kind"] != "Kustomization":
            validator.validate(one, version, strict=True)


def test_every_manifest_is_named_by_the_kustomization():
    named = set(yaml.safe_load((DOCKER / "kubernetes/kustomization.yaml").read_text())["resources"])
    files = {file.name for file in DOCKER.glob("kubernetes/*.yaml")}
    assert named | {"kustomization.yaml"} == files | set(PARTS)


def test_the_manifests_run_workers_of_every_role_apart_from_each_other():
    argv = [tool("kubectl"), "kustomize", str(DOCKER / "kubernetes")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    sets = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] == "StatefulSet"]
    roles = []
    for one in sets:
        (container,) = one["spec"]["template"]["spec"]["containers"]
        command, option, role = container["args"]
        assert (command, option) == ("worker", "--role")
        assert one["metadata"]["name"] == one["spec"]["serviceName"] == f"endocrine-worker-{role}"
        assert one["spec"]["selector"]["matchLabels"]["endocrine.dev/role"] == role
        roles.append(role)
    assert sorted(roles) == sorted(PARTS)


@pytest.mark.parametrize("role", OURS)
def test_a_pod_has_no_rights_writes_to_its_volumes_alone_and_says_whether_it_is_ready(role):
    pod = workloads()[role]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    context = container["securityContext"]
    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
    ports = {port["name"] for port in container["ports"]}
    assert (container["readinessProbe"]["httpGet"]["path"], container["livenessProbe"]["httpGet"]["path"]) == (
        "/readyz", "/livez",
    )  # fmt: skip
    assert container["readinessProbe"]["httpGet"]["port"] in ports
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/tmp", "/var/lib/endocrine"}


def test_secrets_are_files_and_never_variables():
    for role, one in workloads().items():
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert "secretKeyRef" not in str(container), role
        assert "secretRef" not in str(container), role
    for role in OURS:
        assert not [name for name in compose()["services"][role]["environment"] if re.search("KEY$|PASSWORD$", name)]


def test_only_the_model_connector_may_reach_addresses_outside_of_the_cluster():
    policies = [one for one in documents() if one["kind"] == "NetworkPolicy"]
    wide = [one["metadata"]["name"] for one in policies if "ipBlock" in str(one)]
    assert wide == ["endocrine-model"]
    (default,) = [one for one in policies if one["metadata"]["name"] == "endocrine"]
    assert default["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_roles_that_several_pods_share_keep_all_but_one_when_a_node_is_drained():
    budgets = {one["metadata"]["name"]: one["spec"] for one in documents() if one["kind"] == "PodDisruptionBudget"}
    shared = {f"endocrine-{role}" for role, one in workloads().items() if one["spec"]["replicas"] > 1}
    assert set(budgets) == shared
    assert all(spec["maxUnavailable"] == 1 for spec in budgets.values())


@pytest.mark.parametrize("role", OURS)
def test_a_container_of_compose_is_closed_and_healthy_only_when_it_is_ready(role):
    service = compose()["services"][role]
    assert (service["read_only"], service["user"], service["cap_drop"]) == (True, "10001:10001", ["ALL"])
    assert "no-new-privileges:true" in service["security_opt"]
    assert "/readyz" in service["healthcheck"]["test"][-1]
    assert all(on["condition"] == "service_healthy" for on in service["depends_on"].values())


def test_every_service_of_compose_has_a_health_check_and_listens_on_loopback_alone():
    for name, service in compose()["services"].items():
        assert "healthcheck" in service, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_what_compose_mounts_from_here_is_here():
    mounts = [mount for one in compose()["services"].values() for mount in one.get("volumes", [])]
    local = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert [path for path in local if not (DOCKER / path).exists()] == []


def test_every_variable_that_the_files_set_is_one_that_our_processes_read():
    known = set(re.findall(r"`?(ENDOCRINE_[A-Z_]+)", (ROOT / "docs/reference/settings.md").read_text())) | ELSEWHERE
    files = [DOCKER / "compose.yaml", DOCKER / "Dockerfile", *MANIFESTS]
    used = {name for file in files for name in re.findall(r"\bENDOCRINE_[A-Z_]+", file.read_text())}
    assert "ENDOCRINE_BOOTSTRAP" in used
    assert used <= known


def test_the_default_base_of_the_image_and_its_user_are_as_the_page_says():
    page, dockerfile = (ROOT / "docs/deployment.md").read_text(), (DOCKER / "Dockerfile").read_text()
    (base,) = re.findall(r"^ARG BASE=(.+)$", dockerfile, re.MULTILINE)
    assert f"`{base}`" in page
    assert "\nUSER 10001:10001\n" in dockerfile
    assert "--require-hashes -r requirements.lock" in dockerfile
