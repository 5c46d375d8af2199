"""The Helm chart: linted, rendered for each stage, held against schemas, and against rules of our own."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediagate.settings import Settings
from tests.unit.deploy.conftest import VERSIONS
from tests.unit.deploy.settings_names import SECRETS, unknown
from worker import DRAIN_MARGIN
from workflows.names import DEFAULT_PREFIX, Role, task_queue

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "helm" / "mediagate"
CRDS = ROOT / "deploy" / "helm" / "crd-schemas"
RULES = ROOT / "deploy" / "observability" / "prometheus" / "rules.yaml"

SHAPES = {
    "dev": ("dev",),
    "staging": ("staging",),
    "production": ("production",),
    "unversioned": ("production", "--set", "workers.versioning.enabled=false"),
    "digest": ("staging", "--set", f"image.digest=sha256:{'0' * 64}"),
    "api-key": (
        "production", "--set", "temporal.apiKeySecret.name=temporal", "--set", "temporal.apiKeySecret.key=key",
        "--set", "temporal.tls=true",
    ),
    "by-cpu": ("staging", "--set", "workers.pools.cpu.autoscaling.mode=cpu", "--set", "api.autoscaling.enabled=true"),
    "vendor-pool": (
        "production", "--set-json",
        (
            'workers.pools.hive={"role":"vendor","queues":["media-vendor-hive"],"queueType":"activity","replicas":1,'
            '"resources":{"requests":{"cpu":"100m","memory":"192Mi"},"limits":{"memory":"512Mi"}},'
            '"autoscaling":{"mode":"backlog","min":1,"max":3,"backlogPerReplica":10}}'
        ),
    ),
    "bare": (
        "dev", "--set", "setup.enabled=false", "--set", "networkPolicy.enabled=false",
        "--set-json", 'podAnnotations={"a":"b"}', "--set-json", 'podLabels={"team":"media"}',
        "--set-json", 'image.pullSecrets=[{"name":"registry"}]', "--set", "priorityClassName=high",
        "--set-json", 'nodeSelector={"disk":"fast"}', "--set-json", 'tolerations=[{"key":"spot","operator":"Exists"}]',
    ),
    "observed": (
        "production", "--set", "metrics.podMonitor.labels.release=prometheus", "--set-file", "metrics.rules={rules}",
    ),
}  # fmt: skip
"""A stage's values, and options on top of them."""

Render = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def helm(tools: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs Helm on the chart with a stage's values."""

    def run(verb: str, stage: str, *options: str) -> "subprocess.CompletedProcess[str]":
        given = [option.replace("{rules}", str(RULES)) for option in options]
        values = ["--values", str(CHART / f"values-{stage}.yaml")] if stage else []
        command = [str(tools / "helm"), *verb.split(), str(CHART), *values, *given]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def rendered(helm: Callable[..., "subprocess.CompletedProcess[str]"]) -> Callable[[str], str]:
    """The manifests of a shape, as text."""
    known: dict[str, str] = {}

    def text(shape: str) -> str:
        if shape not in known:
            done = helm("template gate", *SHAPES[shape])
            assert done.returncode == 0, done.stderr
            known[shape] = done.stdout
        return known[shape]

    return text


@pytest.fixture(scope="session")
def render(rendered: Callable[[str], str]) -> Render:
    """The objects of a shape, all or those of one kind."""

    known: dict[str, list[dict[str, Any]]] = {}

    def objects(shape: str, kind: str = "") -> list[dict[str, Any]]:
        if shape not in known:
            known[shape] = [one for one in yaml.load_all(rendered(shape), yaml.CSafeLoader) if one]
        return [one for one in known[shape] if not kind or one["kind"] == kind]

    return objects


def pod_specs(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that an object makes, with the object's name."""
    for one in objects:
        match one["kind"]:
            case "Deployment" | "Job":
                yield one["metadata"]["name"], one["spec"]["template"]["spec"]
            case "Pod":
                yield one["metadata"]["name"], one["spec"]


def containers(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every container, with the name of the object and its own."""
    for name, spec in pod_specs(objects):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            yield f"{name}/{container['name']}", container


def variables(objects: list[dict[str, Any]]) -> dict[str, object]:
    """Everything that is put into an environment, by the ConfigMap or directly."""
    maps = [one["data"] for one in objects if one["kind"] == "ConfigMap"]
    direct = [env for _, container in containers(objects) for env in container.get("env", [])]
    return {name: value for data in maps for name, value in data.items()} | {env["name"]: env for env in direct}


def in_bytes(quantity: str) -> int:
    """`512Mi` and the like."""
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi)?", quantity).groups()  # type: ignore[union-attr]
    return int(number) << {"Ki": 10, "Mi": 20, "Gi": 30, None: 0}[unit]


def validated(tools: Path, schemas: Path, version: str, manifests: str) -> dict[str, Any]:
    """What kubeconform says of them."""
    own = str(schemas / version / "{{.ResourceKind}}{{.KindSuffix}}.json")
    custom = str(CRDS / "{{.ResourceKind}}_{{.ResourceAPIVersion}}.json")
    command = [str(tools / "kubeconform"), "-strict", "-summary", "-output", "json"]
    command += ["-schema-location", own, "-schema-location", custom]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("version", VERSIONS)
class TestManifests:
    def test_all_are_valid(self, tools: Path, schemas: Path, rendered: Callable[[str], str], version: str) -> None:
        manifests = "\n---\n".join(rendered(shape) for shape in SHAPES)
        report = validated(tools, schemas, version, manifests)
        assert report["resources"] == []  # those that are not valid
        assert (report["summary"]["valid"], report["summary"]["skipped"]) == (manifests.count("\nkind: "), 0)

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [("revisionHistoryLimit:", "revisionsHistoryLimit:"), ("containerPort: 8000", "containerPort: http"),
         ("queueTypes: activity", "queueTypes: activities"), ("podMetricsEndpoints:", "podMetricEndpoints:")],
        ids=["unknown", "type", "keda", "monitor"],
    )  # fmt: skip
    def test_one_that_is_not_is_found(
        self, tools: Path, schemas: Path, rendered: Callable[[str], str], version: str, right: str, wrong: str
    ) -> None:
        report = validated(tools, schemas, version, rendered("production").replace(right, wrong, 1))
        assert (report["summary"]["invalid"], report["summary"]["errors"]) == (1, 0)


@pytest.mark.parametrize("shape", SHAPES)
class TestEveryShape:
    def test_every_container_is_confined(self, render: Render, shape: str) -> None:
        for name, spec in pod_specs(render(shape)):
            assert spec["automountServiceAccountToken"] is False, name
            assert spec["securityContext"]["runAsNonRoot"] is True, name
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
            assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume], name
        for name, container in containers(render(shape)):
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"] is True, name
            assert confined["allowPrivilegeEscalation"] is False, name
            assert confined["capabilities"] == {"drop": ["ALL"]}, name

    def test_every_container_says_what_it_takes(self, render: Render, shape: str) -> None:
        for name, container in containers(render(shape)):
            resources = container["resources"]
            assert {"cpu", "memory"} <= resources["requests"].keys(), name
            assert "memory" in resources["limits"], name

    def test_every_server_is_probed(self, render: Render, shape: str) -> None:
        for name, container in containers(render(shape, "Deployment")):
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["httpGet"]["port"] in ports, name

    def test_images_are_fixed(self, render: Render, shape: str) -> None:
        for name, container in containers(render(shape)):
            assert re.fullmatch(r"\S+(:\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})", container["image"]), name

    def test_every_deployment_may_lose_one_pod_at_a_time(self, render: Render, shape: str) -> None:
        budgets = [one["spec"]["selector"]["matchLabels"] for one in render(shape, "PodDisruptionBudget")]
        for one in render(shape, "Deployment"):
            assert one["spec"]["selector"]["matchLabels"] in budgets
            assert one["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0

    def test_every_selector_finds_its_own_pods_only(self, render: Render, shape: str) -> None:
        deployments = render(shape, "Deployment")
        for one in deployments:
            wanted = one["spec"]["selector"]["matchLabels"].items()
            found = [
                other for other in deployments if wanted <= other["spec"]["template"]["metadata"]["labels"].items()
            ]
            assert found == [one]

    def test_a_pod_has_time_to_drain(self, render: Render, shape: str) -> None:
        (config,) = render(shape, "ConfigMap")
        grace = float(config["data"]["MEDIAGATE_SHUTDOWN_GRACE"])
        for one in render(shape, "Deployment"):
            spec = one["spec"]["template"]["spec"]
            delays = {env["name"]: env.get("value") for env in spec["containers"][0]["env"]}
            drain = float(delays.get("MEDIAGATE_DRAIN_DELAY") or 0)
            assert spec["terminationGracePeriodSeconds"] > drain + grace + DRAIN_MARGIN + 5

    def test_every_variable_is_read_by_something(self, render: Render, shape: str) -> None:
        assert not unknown(variables(render(shape)))

    def test_no_secret_is_in_an_environment(self, render: Render, shape: str) -> None:
        given = {name.lower() for name in variables(render(shape))}
        assert not given & SECRETS
        for name, spec in pod_specs(render(shape)):
            if "health" not in name:
                assert {"name": "secrets", "secret": {"secretName": "mediagate", "defaultMode": 0o440}} in spec[
                    "volumes"
                ]

    def test_its_settings_are_valid(self, render: Render, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for one in render(shape, "ConfigMap"):
            for name, value in one["data"].items():
                if name != "MEDIAGATE_SECRETS_DIR":
                    monkeypatch.setenv(name, value)
        assert Settings().environment in {"development", "staging", "production"}

    def test_every_queue_has_a_pool(self, render: Render, shape: str) -> None:
        roles = {one["spec"]["template"]["spec"]["containers"][0]["command"][-1] for one in render(shape, "Deployment")}
        assert {role.value for role in Role} <= roles

    def test_picture_workers_fit_their_memory(self, render: Render, shape: str) -> None:
        for _, container in containers(render(shape, "Deployment")):
            if container["command"][-1] == Role.CPU:
                given = {env["name"]: env.get("value") for env in container["env"]}
                assert int(given["MEDIAGATE_MEMORY_BUDGET"]) * 2 <= in_bytes(container["resources"]["limits"]["memory"])
                assert "MEDIAGATE_CPU_SLOTS" in given  # what would be computed are the node's cores

    def test_files_fit_their_disks(self, render: Render, shape: str) -> None:
        for one in render(shape, "Deployment"):
            spec = one["spec"]["template"]["spec"]
            (container,) = spec["containers"]
            mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {"/tmp", "/var/lib/mediagate"} <= mounted
            disks = {volume["name"]: volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume}
            if container["name"] == "worker":
                assert "/var/cache/mediagate" in mounted
                if container["command"][-1] in (Role.CPU, Role.IO):  # others open no files
                    given = {env["name"]: env.get("value") for env in container["env"]}
                    assert int(given["MEDIAGATE_CACHE_BYTES"]) < in_bytes(disks["cache"]["sizeLimit"])
            total = sum(in_bytes(disk["sizeLimit"]) for disk in disks.values())
            limit = container["resources"]["limits"].get("ephemeral-storage")
            assert limit is None or total < in_bytes(limit)


class TestScaling:
    def test_by_backlog_of_the_pools_own_queues(self, render: Render) -> None:
        found = {one["metadata"]["name"]: one["spec"] for one in render("production", "ScaledObject")}
        assert found.keys() == {"gate-worker-cpu", "gate-worker-io", "gate-worker-vendor"}
        queues = {name: [one["metadata"]["taskQueue"] for one in spec["triggers"]] for name, spec in found.items()}
        assert queues["gate-worker-cpu"] == [task_queue(DEFAULT_PREFIX, Role.CPU)]
        assert queues["gate-worker-vendor"] == [task_queue(DEFAULT_PREFIX, Role.VENDOR), "media-vendor-hive"]

    def test_of_the_version_that_the_workers_are(self, render: Render) -> None:
        (trigger,) = next(
            one["spec"]["triggers"] for one in render("production", "ScaledObject") if "cpu" in one["metadata"]["name"]
        )
        build = next(
            env["value"]
            for name, container in containers(render("production", "Deployment"))
            if "cpu" in name
            for env in container["env"]
            if env["name"] == "MEDIAGATE_BUILD_ID"
        )
        assert trigger["metadata"]["workerDeploymentBuildId"] == build

    def test_who_is_scaled_names_no_number_of_its_own(self, render: Render) -> None:
        scaled = {one["spec"]["scaleTargetRef"]["name"] for kind in ("ScaledObject", "HorizontalPodAutoscaler")
                  for one in render("production", kind)}  # fmt: skip
        fixed = {one["metadata"]["name"] for one in render("production", "Deployment") if "replicas" in one["spec"]}
        assert not scaled & fixed
        assert len(scaled) + len(fixed) == len(render("production", "Deployment"))

    def test_a_key_for_temporal_reaches_the_scaler(self, render: Render) -> None:
        (authentication,) = render("api-key", "TriggerAuthentication")
        for one in render("api-key", "ScaledObject"):
            for trigger in one["spec"]["triggers"]:
                assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]

    @pytest.mark.parametrize("shape", ["dev", "by-cpu"])
    def test_without_keda_nothing_of_it_is_there(self, render: Render, shape: str) -> None:
        assert not [one for one in render(shape) if one["apiVersion"].startswith("keda.sh/")]


class TestNetwork:
    def test_every_pod_has_a_policy(self, render: Render) -> None:
        policies = [one["spec"]["podSelector"]["matchLabels"].items() for one in render("production", "NetworkPolicy")]
        for one in [*render("production", "Deployment"), *render("production", "Job")]:
            labels = one["spec"]["template"]["metadata"]["labels"].items()
            assert len([policy for policy in policies if policy <= labels]) == 1

    def test_only_those_who_call_others_may_leave(self, render: Render) -> None:
        web = {
            one["metadata"]["name"]
            for one in render("production", "NetworkPolicy")
            if len([rule for rule in one["spec"]["egress"] if rule["ports"] == [{"port": 443}]]) > 1  # S3 and the web
        }
        assert web == {"gate-api", "gate-worker-io", "gate-worker-vendor"}

    def test_only_the_ingress_reaches_the_api(self, render: Render) -> None:
        (api,) = (one for one in render("production", "NetworkPolicy") if one["metadata"]["name"] == "gate-api")
        let_in = {
            rule["ports"][0]["port"]: rule["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            for rule in api["spec"]["ingress"]
        }
        assert let_in == {"http": "ingress-nginx", "metrics": "monitoring"}


class TestHooks:
    def test_checks_backup_and_migration_come_before_the_release(self, render: Render) -> None:
        setup = next(one for one in render("production", "Job") if one["metadata"]["name"] == "gate-setup")
        assert setup["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        spec = setup["spec"]["template"]["spec"]
        assert [one["command"] for one in spec["initContainers"]] == [["mediagate", "preflight"]]
        assert [one["command"] for one in spec["containers"]] == [["mediagate", "setup"]]
        assert {"name": "backups", "persistentVolumeClaim": {"claimName": "mediagate-backups"}} in spec["volumes"]
        assert "serviceAccountName" not in spec  # the release's own does not exist yet

    def test_without_a_backup_that_is_said(self, render: Render) -> None:
        (setup,) = render("dev", "Job")
        assert setup["spec"]["template"]["spec"]["containers"][0]["command"] == ["mediagate", "setup", "--no-backup"]

    def test_workers_are_promoted_after_the_release_and_after_the_way_back(self, render: Render) -> None:
        promote = next(one for one in render("production", "Job") if one["metadata"]["name"] == "gate-promote")
        assert promote["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade,post-rollback"
        command = promote["spec"]["template"]["spec"]["containers"][0]["command"]
        assert command[:4] == ["mediagate", "deployments", "promote", "0.1.0"]

    def test_every_process_is_scraped(self, render: Render) -> None:
        (monitor,) = render("production", "PodMonitor")
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        for _, container in containers(render("production", "Deployment")):
            (port,) = (one["containerPort"] for one in container["ports"] if one["name"] == endpoint["port"])
            given = {env["name"]: env.get("value") for env in container["env"]}
            address = given.get("MEDIAGATE_METRICS_ADDRESS") or given["MEDIAGATE_INTERNAL_ADDRESS"]
            assert address == f"0.0.0.0:{port}"

    def test_alert_rules_are_those_of_the_file(self, render: Render) -> None:
        (rule,) = render("observed", "PrometheusRule")
        assert rule["spec"] == yaml.safe_load(RULES.read_text())


class TestValues:
    @pytest.mark.parametrize("stage", ["dev", "staging", "production"])
    def test_lint(self, helm: Callable[..., "subprocess.CompletedProcess[str]"], stage: str) -> None:
        done = helm("lint --strict", stage)
        assert done.returncode == 0, done.stdout

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--set", "existingSecret="], "existingSecret is needed"),
            (["--set", "temporal.address="], "temporal.address is needed"),
            (["--set", "setup.backup.existingClaim="], "setup.backup.existingClaim is needed"),
            (["--set", "image.tag=latest"], "image/tag"),
            (["--set", "config.MEDIAGATE_DATABASE_URL=postgresql://u:p@h/d"], "MEDIAGATE_DATABASE_URL"),
            (["--set", "config.MEDIAGATE_DELIVERY_SECRETS=x"], "MEDIAGATE_DELIVERY_SECRETS"),
            (["--set", "config.MEDIAGATE_STORES=x"], "MEDIAGATE_STORES"),
            (["--set", "workers.pools.cpu.role=gpu"], "role"),
            (["--set", "replicas=3"], "replicas"),
            (["--set", "api.ingress.host="], "api.ingress.host is needed"),
            (["--set", "terminationMargin=1"], "terminationMargin"),
        ],
        ids=["secret", "temporal", "claim", "latest", "url", "keys", "stores", "role", "unknown", "host", "margin"],
    )
    def test_what_cannot_work_is_refused(
        self, helm: Callable[..., "subprocess.CompletedProcess[str]"], options: list[str], said: str
    ) -> None:
        done = helm("template gate", "production", *options)
        assert done.returncode != 0
        assert said in done.stderr
