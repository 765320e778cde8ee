"""The command line: help for everything, errors in one line, exit codes."""

import argparse
import importlib
import subprocess
import sys

import pytest

from trigpoint import cli
from trigpoint.errors import TrigpointError


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_subcommand_explains_itself(name: str) -> None:
    module = importlib.import_module(f"trigpoint.cli.{name.replace('-', '_')}")
    assert module.__doc__ is not None
    assert module.__doc__.startswith(f"`trigpoint {name}`:")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    silent = [action.dest for action in parser._actions if not action.help]
    assert silent == []


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_of_a_subcommand_ends_well(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert name in capsys.readouterr().out


def test_help_lists_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in cli.COMMANDS)


@pytest.mark.parametrize("arguments", [["summary", "nowhere"], ["--verbose", "summary", "nowhere"]])
def test_a_users_mistake_is_one_line_and_exit_2(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "trigpoint", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("trigpoint summary: nowhere/metrics.json: there is no such file")
    assert ("Traceback" in done.stderr) == ("--verbose" in arguments)


def test_a_bug_is_a_traceback_and_exit_1() -> None:
    code = (
        "import trigpoint.cli.summary as s, trigpoint.cli as c\n"
        "s.run = lambda args: 1 / 0\n"
        "c.main(['summary', 'nowhere'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_an_error_of_several_lines_comes_out_as_one(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from trigpoint.cli import summary

    def fail(args: argparse.Namespace) -> None:
        raise TrigpointError("first\nsecond")

    monkeypatch.setattr(summary, "run", fail)
    assert cli.main(["summary", "x"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "trigpoint summary: first second"
