"""The command at the head of every example makes a plan; so does every shipped dataset."""

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) (\w+):$", re.MULTILINE)


def planned(workspace, *arguments: str) -> Counter:
    done = workspace.run(*arguments, "--dry-run")
    return Counter(JOB.findall(done.stdout + done.stderr))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_command_of_an_example_is_planned(workspace, example: Path) -> None:
    workspace.use_shipped_configuration()
    command = re.search(r"^#\s+snakemake (.*)$", example.read_text(), re.MULTILINE)
    assert command, "an example's head names its command"
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in shlex.split(command[1])]
    assert any(rule.startswith("publish") for rule in planned(workspace, *words))


@pytest.mark.parametrize(
    "dataset",
    [
        *("demo", "aachen", "aachen_v1_1", "eth_lfb_fountain", "eth_lfb_herzjesu", "eth_lfb"),
        *("relative_pose", "megadepth_1500", "imc_phototourism"),
    ],
)
def test_a_shipped_dataset_is_planned(workspace, dataset: str) -> None:
    workspace.use_shipped_configuration()
    jobs = planned(workspace, f"results/{dataset}")
    assert jobs["prepare"] >= 1
    assert jobs["fetch"] == jobs["prepare"] - (dataset in ("demo", "relative_pose"))
