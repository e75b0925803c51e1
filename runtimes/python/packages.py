#!/usr/bin/python3 -I
"""What the daemon asks of pip: `packages registries` says where packages come from; `packages install MANIFEST` puts those of a
requirements.txt or a pyproject.toml in the present folder into the folder `packages` beside it."""

import os
import sys
import tomllib
from urllib.parse import urlsplit

PIP = "/opt/coderunner/pip.whl"


def registries():
    sys.path.insert(0, PIP)
    from pip._internal.models.index import PyPI

    print(PyPI.simple_url)
    print(f"https://{PyPI.file_storage_domain}/")


def requirements(manifest):
    """The options that name what is to be installed."""
    if manifest != "pyproject.toml":
        return ["--requirement", manifest]
    with open(manifest, "rb") as file:
        project = tomllib.load(file)
    wanted = project.get("project", {}).get("dependencies")
    if wanted is None and "poetry" in project.get("tool", {}):
        sys.exit("coderunner: pyproject.toml lists its packages in [tool.poetry] only")
    groups = [item for item in project.get("dependency-groups", {}).get("dev", []) if isinstance(item, str)]
    # As an item of its own, nothing that a project says is read as an option.
    return ["--", *(wanted or []), *groups]


def install(manifest):
    registry = os.environ["CODERUNNER_REGISTRY"]
    options = ["--target", "packages", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    options += ["--no-warn-script-location", "--progress-bar", "off", "--retries", "1"]
    options += ["--cert", os.environ["CODERUNNER_CA"]]
    if registry:
        options += ["--index-url", registry]
        # Whoever set it chose to do without TLS.
        if registry.startswith("http://"):
            options += ["--trusted-host", urlsplit(registry).netloc]
    scripts = os.environ["CODERUNNER_INSTALL_SCRIPTS"] == "on"
    options += ["--prefer-binary"] if scripts else ["--only-binary", ":all:"]
    os.makedirs("packages", exist_ok=True)
    wanted = requirements(manifest)
    if wanted == ["--"]:
        return
    if scripts:
        os.execv(sys.executable, [sys.executable, "-I", f"{PIP}/pip", "install", *options, *wanted])
    sys.exit(without_building(["install", *options, *wanted]))


def without_building(arguments):
    """Installs what is there as a wheel. `--only-binary` alone leaves a way: a project's files may take it back, or name an archive."""
    sys.path.insert(0, PIP)
    from pip._internal.cli.main import main
    from pip._internal.distributions.sdist import SourceDistribution
    from pip._internal.exceptions import InstallationError

    def refuse(distribution, *_):
        raise InstallationError(f"{distribution.req.name or distribution.req} comes only as source")

    # Everything that is no wheel goes this way before anything of it is run.
    SourceDistribution.prepare_distribution_metadata = refuse
    return main(arguments)


match sys.argv[1:]:
    case ["registries"]:
        registries()
    case ["install", manifest]:
        install(manifest)
