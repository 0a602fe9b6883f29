"""What is installed, and what is published: the lock, the classifiers, the bill of materials."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reconciler import __version__
from tests.support import processes

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = {file.stem: file.read_text(encoding="utf-8") for file in (ROOT / "requirements").glob("*.txt")}
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f".ci/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(lock: str) -> dict[str, str]:
    found: dict[str, str] = script("pins").pins(LOCKS[lock])
    return found


def test_there_are_these_locks() -> None:
    assert sorted(LOCKS) == ["browser", "build", "dev", "oldest", "runtime", "simulator"]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_one_exact_version_and_hashes(lock: str) -> None:
    first, *entries = re.sub(r" \\\n +", " ", LOCKS[lock]).splitlines()
    assert first.startswith("# Made by .ci/lock")
    for entry in entries:
        requirement, *hashes = entry.split(" --hash=")
        (version,) = Requirement(requirement).specifier
        assert version.operator == "=="
        assert "*" not in version.version
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_says_where_packages_come_from(lock: str) -> None:
    assert "://" not in LOCKS[lock]


def test_the_locks_are_parts_of_one_another() -> None:
    runtime, build, simulator, dev = (pins(lock) for lock in ("runtime", "build", "simulator", "dev"))
    assert runtime.items() | build.items() <= simulator.items() <= dev.items()
    browser = pins("browser")
    assert runtime.items() <= browser.items()
    assert browser.keys() & dev.keys() == runtime.keys(), "both are installed in one place"


def test_the_lock_holds_what_is_asked_for() -> None:
    """Quick, and without the network; `.ci/lock --check` is the whole truth."""
    project, extras = PROJECT["project"], PROJECT["project"]["optional-dependencies"]
    wanted = {
        "runtime": project["dependencies"],
        "build": PROJECT["build-system"]["requires"],
        "simulator": extras["simulator"],
        "browser": extras["browser"],
        "dev": [one for one in extras["dev"] if not one.startswith(project["name"])],
        "oldest": project["dependencies"] + extras["simulator"],
    }
    for lock, requirements in wanted.items():
        for requirement in map(Requirement, requirements):
            assert requirement.specifier.contains(pins(lock)[canonicalize_name(requirement.name)]), (lock, requirement)


def test_the_oldest_are_the_oldest_that_the_ranges_admit() -> None:
    project, extras = PROJECT["project"], PROJECT["project"]["optional-dependencies"]
    text = (ROOT / ".ci/minimum-versions.txt").read_text(encoding="utf-8")
    oldest = script("pins").pins(re.sub(" *#.*", "", text))
    tools = [one for one in extras["dev"] if canonicalize_name(Requirement(one).name) in oldest]
    for requirement in map(Requirement, project["dependencies"] + extras["simulator"] + tools):
        (bound,) = [one.version for one in requirement.specifier if one.operator == ">="]
        name = canonicalize_name(requirement.name)
        assert re.sub(r"(\.0)+$", "", oldest[name]) == re.sub(r"(\.0)+$", "", bound)
        assert pins("oldest")[name] == oldest.pop(name)
    assert not oldest


def test_every_python_of_the_classifiers_is_tested_and_no_other_claimed() -> None:
    prefix = "Programming Language :: Python :: "
    classifiers = [one.removeprefix(prefix) for one in PROJECT["project"]["classifiers"] if one.startswith(prefix)]
    assert classifiers == PYTHONS
    assert PROJECT["project"]["requires-python"] == f">={PYTHONS[0]}"
    for workflow in ("ci", "release"):
        jobs = yaml.safe_load((ROOT / f".github/workflows/{workflow}.yml").read_text(encoding="utf-8"))["jobs"]
        assert jobs["test"]["strategy"]["matrix"]["python"] == PYTHONS
    newest = yaml.safe_load((ROOT / ".github/workflows/newest.yml").read_text(encoding="utf-8"))["jobs"]["newest"]
    assert newest["strategy"]["matrix"]["python"] == [PYTHONS[0], PYTHONS[-1]]


def test_the_licence_is_an_expression_and_a_file() -> None:
    project = PROJECT["project"]
    assert project["license"] == "MIT"
    assert [ROOT / name for name in project["license-files"]] == [ROOT / "LICENSE"]
    assert not [one for one in project["classifiers"] if one.startswith("License")]


def test_the_bill_of_materials_lists_the_locks_runtime_packages(tmp_path: Path) -> None:
    file = tmp_path / "bill.json"
    command = ROOT / ".ci/sbom"
    done = processes.run([command, file])
    assert done.returncode == 0, done.stdout + done.stderr
    bill = json.loads(file.read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    about = bill["metadata"]["component"]
    assert (about["name"], about["version"]) == ("losant-reconciler", __version__)
    listed = {(one["name"], one["version"]): one for one in bill["components"]}
    assert len(listed) == len(bill["components"])
    locked = re.findall(r"^([\w.-]+)==(\S+)", LOCKS["runtime"], re.MULTILINE)
    assert listed.keys() == set(locked)
    hashes = {
        one["content"] for part in bill["components"] for at in part["externalReferences"] for one in at["hashes"]
    }
    assert hashes == set(re.findall(r"--hash=sha256:(\w+)", LOCKS["runtime"]))


def test_what_moved_is_told(tmp_path: Path) -> None:
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text(
        "PyYAML==6.0.3 \\\n    --hash=sha256:00\nrich==15.0.0\ngone==1\nelsewhere==1 ; sys_platform == 'none'\n"
    )
    new.write_text("pyyaml==6.0.4\nrich==15.0.0\nadded==2\n")
    command = [sys.executable, "-I", str(ROOT / ".ci/pins.py"), str(old)]
    done = processes.run([*command, str(new)])
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["added (none) -> 2", "gone 1 -> (none)", "pyyaml 6.0.3 -> 6.0.4"]
    done = processes.run([*command, "-"], input=old.read_text())
    assert (done.returncode, done.stdout) == (0, "the same packages in the same versions\n")


# The lock's own tools come from the network; here a new environment has the `uv` that is installed.
VENV = """\
#!/usr/bin/env bash
if [[ "$*" != "-I -m venv "* ]]; then exec {bin}/python "$@"; fi
mkdir -p "$4/bin" && ln -s {bin}/uv "$4/bin/uv" && ln -s "$(type -P true)" "$4/bin/pip"
"""
TINY = """\
[build-system]
requires = ["one"]
[project]
name = "tiny"
version = "1"
requires-python = ">=3.11"
dependencies = ["one"]
[project.optional-dependencies]
simulator = []
browser = []
dev = []
"""


class Registry:
    """A package index on disk with one package, and a project that locks it."""

    def __init__(self, folder: Path) -> None:
        self.project, self._index = folder / "project", folder / "index/one"
        for part in (self.project / "requirements", self.project / ".ci", self._index, folder / "bin"):
            part.mkdir(parents=True)
        shutil.copy(ROOT / ".ci/lock", self.project / ".ci/lock")
        (self.project / ".ci/minimum-versions.txt").touch()
        (self.project / "pyproject.toml").write_text(TINY)
        (self.project / "requirements/dev.txt").touch()
        (folder / "bin/python3").write_text(VENV.format(bin=Path(sys.executable).parent))
        (folder / "bin/python3").chmod(0o755)
        self._env = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "UV_CACHE_DIR": str(folder / "cache"),
            "UV_DEFAULT_INDEX": self._index.parent.as_uri(),
        }

    def publish(self, version: str, tag: str = "py3") -> str:
        """Publish a wheel; its hash."""
        file = self._index / f"one-{version}-{tag}-none-any.whl"
        with zipfile.ZipFile(file, "w") as wheel:
            about = f"one-{version}.dist-info"
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: one\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        with (self._index / "index.html").open("a") as page:
            page.write(f'<a href="{file.name}#sha256={digest}">{file.name}</a>\n')
        return digest

    def lock(self, *how: str) -> tuple[int, str]:
        done = processes.run([self.project / ".ci/lock", *how], env=self._env)
        return done.returncode, done.stdout + done.stderr

    def file(self, name: str) -> Path:
        return self.project / f"requirements/{name}.txt"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def test_the_lock_is_what_the_registry_publishes(registry: Registry) -> None:
    digest = registry.publish("1.0")
    assert registry.lock() == (0, "")
    assert f"one==1.0 \\\n    --hash=sha256:{digest}\n" in registry.file("runtime").read_text()
    registry.publish("1.0", "py311")  # a file for another Python is no news, a new version neither
    registry.publish("2.0")
    assert registry.lock("--check") == (0, "")
    assert registry.lock("--upgrade") == (0, "")
    assert "one==2.0" in registry.file("runtime").read_text()


@pytest.mark.parametrize("instead", [True, False])
def test_a_hash_that_the_registry_does_not_publish_is_refused(registry: Registry, *, instead: bool) -> None:
    """In every lock, in place of the right one or beside it."""
    digest, planted = registry.publish("1.0"), "ab" * 32
    registry.lock()
    locks = ["browser", "build", "dev", "oldest", "runtime", "simulator"]
    good = {lock: registry.file(lock).read_text() for lock in locks}
    for lock, text in good.items():
        beside = text.replace("==1.0 \\\n", f"==1.0 \\\n    --hash=sha256:{planted} \\\n")
        registry.file(lock).write_text(text.replace(digest, planted) if instead else beside)
    code, said = registry.lock("--check")
    assert code == 1
    for lock in locks:
        assert f"<     --hash=sha256:{planted}\nin requirements/{lock}.txt\n" in said, said
    assert registry.lock() == (0, "")
    assert {lock: registry.file(lock).read_text() for lock in locks} == good


@pytest.mark.parametrize(("ci", "code", "said"), [("", 0, "1 skipped"), ("true", 4, "cannot be skipped in CI")])
def test_the_tests_in_a_browser_are_skipped_with_a_reason_but_never_in_ci(ci: str, code: int, said: str) -> None:
    test = "tests/browser/test_pages.py::test_a_page_of_100000_devices_works"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", test]
    done = processes.run(command, cwd=ROOT, env={**os.environ, "PATH": "/nowhere", "CI": ci})
    shown = done.stdout + done.stderr
    assert done.returncode == code, shown
    assert said in shown
    assert "run .ci/browser, which installs what they need" in shown
