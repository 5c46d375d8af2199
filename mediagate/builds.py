"""Which build of the gate this installation is: what tells one version of its workers from another."""

import hashlib
from pathlib import Path

from mediagate import __version__
from mediagate.settings import Settings

AUTO = "auto"
ROOT = Path(__file__).parent.parent
PARTS = ("mediagate", "workflows", "activities", "db", "worker.py")
"""What a worker runs."""


def build_id(settings: Settings) -> str | None:
    """The build id of workers with these settings; None: they are unversioned."""
    return made_from_code() if settings.build_id == AUTO else settings.build_id


def made_from_code() -> str:
    """`0.1.0-3f9a…`: the release, and 12 hex digits of the code's SHA-256. Dependencies do not count."""
    digest = hashlib.sha256()
    for part in PARTS:
        path = ROOT / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(f"{file.relative_to(ROOT).as_posix()}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return f"{__version__}-{digest.hexdigest()[:12]}"
