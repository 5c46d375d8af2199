"""Workflow files must stay light: what they import is loaded by whatever only wants to run or replay workflows."""

import subprocess
import sys

import pytest

HEAVY = ("sqlalchemy", "sqlmodel", "psycopg", "PIL", "minio", "fastapi", "starlette", "httpx", "alembic", "uvicorn")


class TestImports:
    @pytest.mark.parametrize(
        "module",
        [
            "workflows.upload",
            "workflows.sweep",
            "workflows.policies",
            "workflows.policy_run",
            "workflows.scrub",
            "workflows.retention",
            "workflows.store_move",
            "workflows.batch_import",
            "workflows.digest",
            "workflows.vendor_health",
        ],
    )
    def test_a_workflow_file_loads_nothing_heavy(self, module: str) -> None:
        code = f"import sys, {module}; print(sorted(m for m in {HEAVY!r} if m in sys.modules))"
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert loaded.stdout.strip() == "[]"
