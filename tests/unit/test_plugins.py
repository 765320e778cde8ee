"""What docs/plugins.md says of methods from other packages is true."""

import re
from pathlib import Path

import pytest
import yaml

from trigpoint import config as settings
from trigpoint.errors import SettingsError
from trigpoint.methods import base

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/plugins.md").read_text()


def test_the_configurations_of_the_page_are_valid(pair_method: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    mine, other = (yaml.safe_load(text)["run_settings"] for text in re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL))
    config["run_settings"] |= {"mine": {**mine["mine"], "method": pair_method}, **other}
    settings.validate(config, ROOT / "rules/config.schema.yaml")


def test_the_names_of_the_page_are_there() -> None:
    assert f'[project.entry-points."{base.ENTRY_POINT_GROUP}"]' in DOCS
    assert base.MethodEntry("my_package.method:MyMethod", "pair").weights_setting == "weights"
    assert "`weights`" in DOCS


def test_an_installed_method_is_found_and_a_misspelt_one_gets_its_name(pair_method: str) -> None:
    assert base.method_entry(pair_method).kind == "pair"
    with pytest.raises(SettingsError, match=f"did you mean '{pair_method}'"):
        base.method_entry("sift_pair")


def test_an_entry_point_that_is_no_row_is_refused_with_the_page(pair_method: str, monkeypatch) -> None:
    import trigpoint_sift_pairs

    monkeypatch.setattr(trigpoint_sift_pairs, "ENTRY", "trigpoint_sift_pairs.method:SiftPairs")
    with pytest.raises(SettingsError, match=r"sift_pairs is not a MethodEntry; see docs/plugins\.md"):
        base.method_entry(pair_method)
