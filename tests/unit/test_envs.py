"""The conda environments hold the versions of constraints.txt."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVS = sorted((ROOT / "envs").glob("*.yaml"))


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    return {name.lower(): version for name, _, version in (line.partition("==") for line in lines)}


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_versions_are_those_of_the_constraints(path: Path) -> None:
    (pip,) = [item["pip"] for item in yaml.safe_load(path.read_text())["dependencies"] if isinstance(item, dict)]
    versions = dict(requirement.split("==") for requirement in pip)
    assert versions == {name: pinned()[name.lower()] for name in versions}


@pytest.mark.parametrize("path", ENVS, ids=lambda path: path.stem)
def test_an_environment_installs_the_package_itself(path: Path) -> None:
    assert "pip install" in path.with_suffix(".post-deploy.sh").read_text()


def test_every_environment_named_by_a_rule_exists_and_is_used() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert set(re.findall(r"envs/([a-z]+)\.yaml", rules)) == {path.stem for path in ENVS}
