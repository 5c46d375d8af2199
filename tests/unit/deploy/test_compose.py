"""The compose file: loaded by the loader of `docker compose`, and held against rules of our own."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.draining import MARGIN
from deploy.sbom import ROOT
from mediagate.settings import Settings
from tests.unit.deploy.settings_names import SECRETS, unknown
from worker import DRAIN_MARGIN
from workflows.names import Role

FOLDER = ROOT / "deploy" / "compose"
OURS = {"api-a", "api-b", "setup", "worker-cpu", "worker-flow", "worker-io", "worker-vendor"}
ONE_SHOT = {"setup", "temporal-schema", "temporal-namespace"}
FULL_VERSION = re.compile(r":v?\d+\.\d+(\.\d+)?[\w.-]*$")


def assignments(path: Path) -> dict[str, str]:
    """What an environment file sets."""
    lines = (line.partition("=") for line in path.read_text().splitlines() if line and line[0] != "#")
    return {name: value for name, _, value in lines}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment's own folder, as `./init` leaves it."""
    place = tmp_path_factory.mktemp("host")
    for name in ("compose", "env"):
        (place / name).mkdir()
        for file in (FOLDER.parent / name).glob("[!.]*" if name == "compose" else "*"):
            if file.is_file():
                (place / name / file.name).write_bytes(file.read_bytes())
    (place / "compose" / ".env.example").write_bytes((FOLDER / ".env.example").read_bytes())
    subprocess.run(["sh", "init", "production"], cwd=place / "compose", check=True, capture_output=True)
    return place / "compose"


def filled(text: str, values: dict[str, str]) -> str:
    """Variables and their defaults filled in: the loader's program has no values for them
    (https://github.com/compose-spec/compose-go, `LoadModel` of `cli/options.go`)."""
    return re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda found: values.get(found[1]) or found[2] or "", text)


def load(compose_spec: Path, deployment: Path, text: str) -> "subprocess.CompletedProcess[str]":
    """The loader on a text, in the deployment's folder."""
    (deployment / "tried.yaml").write_text(text)
    command = [str(compose_spec), "-format", "json", "tried.yaml"]
    return subprocess.run(command, cwd=deployment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(compose_spec: Path, deployment: Path) -> dict[str, Any]:
    """The project with everything filled in."""
    values = {**assignments(deployment / ".env"), "RELEASE": "1.4.0"}
    done = load(compose_spec, deployment, filled((deployment / "compose.yaml").read_text(), values))
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


@pytest.fixture(scope="module")
def services(project: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its services by name."""
    found: dict[str, dict[str, Any]] = project["services"]
    return found


def seconds(duration: str) -> float:
    """`50s`, `1m0s`."""
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", duration).groups()  # type: ignore[union-attr]
    return int(minutes or 0) * 60 + int(rest or 0)


def published(services: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Ports that the host offers: service, and the address."""
    for name, service in services.items():
        for port in service.get("ports", []):
            yield name, port.get("host_ip", "0.0.0.0")


class TestProject:
    def test_without_what_nobody_can_guess_it_is_refused(self, compose_spec: Path, deployment: Path) -> None:
        done = load(compose_spec, deployment, (deployment / "compose.yaml").read_text())
        assert done.returncode != 0
        missing = set(re.findall(r"required variable (\w+) is missing a value", done.stderr))
        assert missing == {"RELEASE", "PUBLIC_HOST", "S3_HOST"}

    def test_what_is_no_compose_file_is_refused(self, compose_spec: Path, deployment: Path) -> None:
        done = load(compose_spec, deployment, "services: {a: {image: x, restarts: always}}")
        assert done.returncode != 0
        assert "restarts" in done.stderr

    def test_every_process_of_the_gate_is_there_and_the_api_twice(self, services: dict[str, dict[str, Any]]) -> None:
        assert {name for name, one in services.items() if one["image"] == "mediagate:1.4.0"} == OURS
        roles = {one["command"][-1] for name, one in services.items() if name.startswith("worker-")}
        assert roles == {role.value for role in Role}

    def test_images_are_fixed(self, services: dict[str, dict[str, Any]]) -> None:
        assert [name for name, one in services.items() if not FULL_VERSION.search(one["image"])] == []

    def test_every_container_is_confined(self, services: dict[str, dict[str, Any]]) -> None:
        for name, service in services.items():
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            assert service["read_only"] is (name != "temporal-ui"), name
            assert "privileged" not in service, name
            assert not [one for one in service.get("volumes", []) if "docker.sock" in str(one)], name
        assert {name for name in OURS if services[name].get("user") == "10001:10001"} == OURS

    def test_every_container_is_limited(self, services: dict[str, dict[str, Any]]) -> None:
        for name, service in services.items():
            assert {"cpus", "memory"} <= service["deploy"]["resources"]["limits"].keys(), name
            assert service["logging"]["options"]["max-size"], name

    def test_every_server_is_asked_how_it_is_and_comes_back(self, services: dict[str, dict[str, Any]]) -> None:
        for name, service in services.items():
            if name in ONE_SHOT:
                assert service["restart"] == "no", name
            else:
                assert service["restart"] == "unless-stopped", name
                assert service["healthcheck"]["test"][0] == "CMD", name

    def test_everything_waits_for_what_it_needs(self, services: dict[str, dict[str, Any]]) -> None:
        for name in OURS - {"setup"}:
            assert services[name]["depends_on"]["setup"]["condition"] == "service_completed_successfully"
        for service in services.values():
            for needed, how in service.get("depends_on", {}).items():
                one_shot = how["condition"] == "service_completed_successfully"
                assert one_shot is (needed in ONE_SHOT)

    def test_processes_have_time_to_drain(self, services: dict[str, dict[str, Any]]) -> None:
        for name in OURS - {"setup"}:
            own = services[name]["environment"]
            takes = float(own["MEDIAGATE_DRAIN_DELAY"]) if name.startswith("api") else 0
            takes += float(own["MEDIAGATE_SHUTDOWN_GRACE"]) + max(MARGIN, DRAIN_MARGIN)
            assert seconds(services[name]["stop_grace_period"]) > takes


class TestNetworks:
    def test_only_the_proxy_is_open_to_the_world(self, services: dict[str, dict[str, Any]]) -> None:
        assert {name for name, address in published(services) if address != "127.0.0.1"} == {"proxy"}
        assert {name for name, address in published(services) if address == "127.0.0.1"} == {"temporal-ui"}

    def test_the_database_and_temporal_have_no_way_out(
        self, project: dict[str, Any], services: dict[str, dict[str, Any]]
    ) -> None:
        assert project["networks"]["data"]["internal"] is True
        for name in ("postgres", "temporal", "temporal-schema", "temporal-namespace", "worker-flow", "worker-cpu"):
            assert services[name]["networks"].keys() == {"data"}
        assert "data" not in services["proxy"]["networks"]

    def test_only_workers_that_call_others_can(self, services: dict[str, dict[str, Any]]) -> None:
        assert {name for name, one in services.items() if "outside" in one["networks"]} == {
            "worker-io",
            "worker-vendor",
        }


class TestSecrets:
    def test_none_is_in_an_environment_or_has_a_default(self, services: dict[str, dict[str, Any]]) -> None:
        for name, service in services.items():
            given = service.get("environment", {})
            assert not {variable.lower() for variable in given} & SECRETS, name
            assert not [one for one in given if "PASSWORD" in one and not one.endswith("_FILE")], name

    def test_each_is_a_file_that_init_makes(self, project: dict[str, Any], deployment: Path) -> None:
        files = {Path(one["file"]).name for one in project["secrets"].values()}
        assert files == {file.name for file in (deployment / "secrets").iterdir()}
        assert (deployment / "secrets").stat().st_mode & 0o077 == 0

    def test_processes_read_theirs(self, services: dict[str, dict[str, Any]], deployment: Path) -> None:
        code = (
            "from mediagate.settings import Settings; s = Settings(); s.require_secrets(); print(s.model_dump_json())"
        )
        own = {one["source"] for one in services["api-a"]["secrets"]}
        assert own <= SECRETS
        given = {**services["api-a"]["environment"], "MEDIAGATE_SECRETS_DIR": str(deployment / "secrets")}
        said = subprocess.check_output([sys.executable, "-W", "error", "-c", code], cwd=ROOT, env=given, text=True)
        read = json.loads(said)
        assert len(read["delivery_secrets"]) == len(read["vendor_webhook_secrets"]) == len(read["evidence_keys"]) == 1
        values = Settings(_secrets_dir=deployment / "secrets", _env_file=None)
        password = (deployment / "secrets" / "mediagate_password").read_text()
        assert values.database_url.get_secret_value() == f"postgresql://mediagate:{password}@postgres:5432/mediagate"
        key = values.evidence_keys[0].get_secret_value().removeprefix("k1:")
        assert len(base64.b64decode(key, validate=True)) == 32

    def test_each_deployment_has_its_own(self, deployment: Path) -> None:
        values = [file.read_text() for file in (deployment / "secrets").iterdir() if file.stat().st_size]
        assert len(set(values)) == len(values)
        assert min(map(len, values)) >= 20

    def test_init_changes_nothing_that_is_there(self, deployment: Path) -> None:
        before = {file.name: file.read_bytes() for file in (deployment / "secrets").iterdir()}
        (deployment / "mediagate.env").write_text("MEDIAGATE_LOG_LEVEL=DEBUG\n")
        done = subprocess.run(["sh", "init"], cwd=deployment, check=True, capture_output=True, text=True)
        assert "made secrets/" not in done.stdout
        assert {file.name: file.read_bytes() for file in (deployment / "secrets").iterdir()} == before
        assert (deployment / "mediagate.env").read_text() == "MEDIAGATE_LOG_LEVEL=DEBUG\n"

    def test_a_stage_that_there_is_not_is_refused(self, deployment: Path) -> None:
        done = subprocess.run(["sh", "init", "moon"], cwd=deployment, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (2, "error: there is no stage moon\n")


class TestVariables:
    def test_every_one_is_read_by_something(self, services: dict[str, dict[str, Any]]) -> None:
        for name in OURS:
            assert not unknown(services[name]["environment"])

    def test_every_size_can_be_set(self) -> None:
        text = (FOLDER / "compose.yaml").read_text()
        used = set(re.findall(r"\$\{(\w+)", text))
        example = (FOLDER / ".env.example").read_text()
        assert used == set(re.findall(r"^#?(\w+)=", example, re.MULTILINE))

    def test_defaults_are_those_of_the_example(self) -> None:
        defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (FOLDER / "compose.yaml").read_text()))
        example = assignments(FOLDER / ".env.example")
        assert {name: example[name] for name in defaults.keys() & example.keys()} == {
            name: value for name, value in defaults.items() if name in example
        }

    def test_pictures_fit_the_memory(self) -> None:
        example = assignments(FOLDER / ".env.example")
        assert example["CPU_MEMORY"].endswith("g")
        assert int(example["CPU_MEMORY_BUDGET"]) * 2 <= int(example["CPU_MEMORY"][:-1]) << 30
