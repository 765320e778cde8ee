"""The doctor finds what is there, names what is not, and says what to do."""

import builtins
import shutil
import sys

import pytest

from trigpoint import doctor
from trigpoint.cli import main
from trigpoint.storage.weights import WEIGHTS


def states(folder) -> dict[str, doctor.Finding]:
    return {finding.subject: finding for finding in doctor.examine(folder)}


def test_here_the_main_job_can_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path / "cache"))
    assert main(["doctor", "--folder", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    for subject in ("python", "torch", "pycolmap", "opencv", "snakemake", "kernels", "cores", "memory", "disk"):
        assert f"ok      {subject}" in text
    assert "the main job can run" in text
    for name in WEIGHTS:
        assert f"trigpoint fetch-weights {name}" in text


def test_fetched_weights_are_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIGPOINT_CACHE", str(tmp_path))
    name = next(iter(WEIGHTS))
    path = doctor.cached_path(name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert states(tmp_path)[f"weights {name}"].state == "ok"


@pytest.mark.parametrize(
    ("module", "subject", "state", "cure"),
    [
        ("torch", "torch", "missing", "pip install torch"),
        ("pycolmap", "pycolmap", "missing", "pip install 'pycolmap"),
        ("cv2", "opencv", "missing", "libgl1"),
        ("snakemake", "snakemake", "missing", "pip install snakemake"),
    ],
)
def test_what_cannot_be_imported_is_named_with_its_cure(tmp_path, monkeypatch, module, subject, state, cure):
    real_import = builtins.__import__

    def broken_import(name, *args, **kwargs):
        if name.split(".")[0] == module:
            raise ImportError(f"no {module} here: libGL.so.1")
        return real_import(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(builtins, "__import__", broken_import)
    finding = states(tmp_path)[subject]
    assert (finding.state, cure in finding.cure) == (state, True)
    assert finding.feature


def test_a_full_disk_ends_with_2_and_a_list(tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert main(["doctor", "--folder", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "missing disk" in captured.out
    assert "CANNOT run" in captured.out
    assert captured.err.strip().endswith("missing for the main job: disk; the cures stand above")


def test_a_missing_folder_is_named(tmp_path, capsys):
    assert main(["doctor", "--folder", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_kernels_that_are_not_built_are_absent_with_their_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIGPOINT_KERNELS", str(tmp_path / "none.so"))
    finding = states(tmp_path)["kernels"]
    assert finding.state == "absent" and "make kernels" in finding.cure
