"""Typing mistakes, selections and collections."""

import subprocess
import sys


def test_an_unknown_dataset_fails_in_one_line(workspace) -> None:
    done = workspace.run("results/My-Typo", ok=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("trigpoint:")]
    assert "My-Typo" in line
    assert "my_photos" in line
    assert "Traceback" not in done.stderr


def test_the_nearest_name_is_offered(workspace) -> None:
    assert "did you mean 'my_photos'" in workspace.run("results/my_photo", ok=False).stderr


def test_a_mistake_in_the_configuration_fails_in_one_line(workspace) -> None:
    config = workspace.config
    config["run_settings"]["sift"]["matching"]["ration"] = 0.8
    workspace.config = config
    done = workspace.run("results/my_photos", ok=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("trigpoint:")]
    assert "did you mean 'ratio'" in line


def test_a_second_snakemake_in_the_same_folder_is_refused(workspace) -> None:
    first = subprocess.Popen(
        workspace.command("results/my_photos"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert first.stdout is not None
    for line in first.stdout:
        if "rule prepare" in line or "checkpoint prepare" in line:
            break
    second = workspace.run("results/my_photos", ok=False)
    first.kill()
    first.communicate()
    assert second.returncode != 0
    assert "another snakemake works in this folder" in second.stderr
    workspace.run("results/my_photos", "--dry-run")


def test_another_series_of_pycolmap_fails_before_the_first_job(workspace) -> None:
    workspace.packages = workspace.path / "packages"
    workspace.packages.mkdir()
    (workspace.packages / "pycolmap.py").write_text('__version__ = "5.0.0"\n')
    done = workspace.run("results/my_photos", ok=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("trigpoint:")]
    assert "pycolmap 5.0.0 is installed" in line and "pip install" in line
    assert not list((workspace.path / "work").rglob("*"))  # no job has run
    command = [sys.executable, "-m", "trigpoint", "doctor"]
    doctor = subprocess.run(command, capture_output=True, text=True, env=workspace.environment, check=False)
    assert "pycolmap 5.0.0 is installed" in doctor.stdout and "Traceback" not in doctor.stderr
