"""`python -m deploy.sbom [FILE]`: the software bill of materials of a production install, as CycloneDX JSON.

Packages, versions, their SHA-256 and what needs what come from the lock (`uv export`); licences from the metadata of
the packages as they are installed here. Format: https://cyclonedx.org/docs/1.5/json/.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = ROOT / "dist" / "mediagate.cdx.json"


def uv() -> str:
    """The `uv` on PATH, else the one that the Makefile brings.

    Raises:
        FileNotFoundError: there is neither.
    """
    found = shutil.which("uv", path=f"{os.environ.get('PATH', '')}:{ROOT / '.tools' / 'bin'}")
    if found is None:
        raise FileNotFoundError("There is no uv on PATH nor in .tools/bin: run `make`.")
    return found


def bill() -> dict[str, Any]:
    """The document. Groups of development and the local stack are not part of it; the extra `onnx` is."""
    exported = subprocess.run(
        [uv(), "export", "--locked", "--offline", "--quiet", "--no-default-groups", "--all-extras",
         "--format", "cyclonedx1.5", "--preview-features", "sbom-export"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    document: dict[str, Any] = json.loads(exported.stdout)
    for component in document["components"]:
        if licence := _licence(component["name"]):
            component["licenses"] = [licence]
    return document


def _licence(name: str) -> dict[str, Any] | None:
    """As the package states it: an SPDX expression, else a name; None for what is not installed on this platform."""
    try:
        about = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        return None
    if expression := about.get("license_expression"):
        return {"expression": expression}
    classified = [one.rpartition(" :: ")[2] for one in about.get("classifier", ()) if one.startswith("License ::")]
    stated = ", ".join(classified) or str(about.get("license", "")).strip().partition("\n")[0]
    return {"license": {"name": stated}} if stated else None


def main() -> None:
    """Write the document."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    target.parent.mkdir(parents=True, exist_ok=True)
    document = bill()
    target.write_text(json.dumps(document, indent=2) + "\n")
    print(f"{target}: {len(document['components'])} packages")  # noqa: T201


if __name__ == "__main__":
    main()
