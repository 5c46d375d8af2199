"""The Go programs that look at the deploy artifacts, and the schemas of Kubernetes that they hold manifests against."""

import asyncio
import importlib.util
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devstack.tools import TESTS, Toolset, ensure_tools

HERE = Path(__file__).parent
COMPOSE = Toolset(
    HERE.parents[1] / "tools" / "compose",
    {"compose-spec": "github.com/compose-spec/compose-go/v2/cmd"},
    {"compose-spec": "5 s"},
)
"""The loader of `docker compose`, which knows its schema. A module of its own: it moves no other tool's versions."""

VERSIONS = ("1.30", "1.37")
"""Of Kubernetes: the oldest that the chart takes, and the newest that there are schemas of."""
KINDS = (
    "configmap-v1",
    "deployment-apps-v1",
    "horizontalpodautoscaler-autoscaling-v2",
    "ingress-networking-v1",
    "job-batch-v1",
    "networkpolicy-networking-v1",
    "pod-v1",
    "poddisruptionbudget-policy-v1",
    "service-v1",
    "serviceaccount-v1",
)


def built(tools: Toolset, names: Iterable[str]) -> Path:
    """The folder that holds the programs."""
    with ThreadPoolExecutor(1) as pool:  # a loop may run in this thread already
        return pool.submit(lambda: asyncio.run(ensure_tools(lambda event: None, names, tools=tools))).result()


@pytest.fixture(scope="session")
def tools() -> Path:
    """Helm and kubeconform."""
    return built(TESTS, ("helm", "kubeconform"))


@pytest.fixture(scope="session")
def compose_spec() -> Path:
    """The validator of compose files."""
    return built(COMPOSE, ("compose-spec",)) / "compose-spec"


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `<version>/<kind>.json`, as kubeconform reads them: the wheel's refer to one another by addresses."""
    spec = importlib.util.find_spec("kubernetes_validate")
    assert spec is not None
    assert spec.origin is not None
    wheel = Path(spec.origin).parent / "kubernetes-json-schema"
    folder = tmp_path_factory.mktemp("schemas")
    for version in VERSIONS:
        source, target = wheel / f"v{version}.0-local-strict", folder / version
        target.mkdir()
        for file in [source / "_definitions.json", *(source / f"{kind}.json" for kind in KINDS)]:
            document = json.loads(file.read_text().replace('"/api/_definitions.json', '"_definitions.json'))
            del document["$id"]
            (target / file.name).write_text(json.dumps(document))
    return folder
