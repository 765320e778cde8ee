"""`trigpoint estimate match`: the cost of a pair, and the largest size for a memory."""

import argparse
import re

import pytest

from trigpoint.cli import main
from trigpoint.cli.estimate import aspect, image_size, memory


def table(capsys: pytest.CaptureFixture[str], *words: str) -> list[list[str]]:
    assert main(["estimate", "match", *words, "--device", "cpu"]) == 0
    return [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]


def gigabytes(cell: str) -> float:
    return float(cell.split(maxsplit=1)[0])


def test_a_larger_pair_takes_more(capsys: pytest.CaptureFixture[str]) -> None:
    _, small = table(capsys, "300x200", "300x200")
    _, large = table(capsys, "600x450", "--resize", "600")
    assert small[:3] == ["300x200", "300x200", "1"]
    assert large[:3] == ["600x450", "600x450", "1"]
    assert 0.1 < gigabytes(small[4]) < 1.5 < gigabytes(large[4])
    assert gigabytes(large[6]) > gigabytes(small[6]) >= 0


def test_settings_and_memory_count(capsys: pytest.CaptureFixture[str]) -> None:
    _, one = table(capsys, "300x200", "--set", "max_scale=4")
    assert one[2] == "9"
    _, little = table(capsys, "600x450", "--resize", "600", "--memory", "100MB")
    assert little[3] == "recomputed"
    assert little[5] == "0.10 GB (too little)"


def test_the_largest_size_grows_with_memory(capsys: pytest.CaptureFixture[str]) -> None:
    head, *rows = table(capsys, "--memory", "2GB", "16GB", "--aspect", "4:3", "1:1")
    assert head == ["memory", "largest resize, 4:3", "largest resize, 1:1"]
    assert [row[0] for row in rows] == ["2 GB", "16 GB"]
    sizes = [[int(cell) for cell in row[1:]] for row in rows]
    assert sizes[0][1] < sizes[0][0] < sizes[1][0]
    assert sizes[1][1] < sizes[1][0]
    assert sizes[1][0] > 600  # the original's own table: 600 for 4:3 and 16 GB, in half precision
    _, fits = table(capsys, f"{sizes[1][0]}x{sizes[1][0] * 3 // 4}", "--resize", str(sizes[1][0]), "--memory", "16GB")
    assert "too little" not in fits[5]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "sift"], "only pump's cost is known"),
        (["300x200", "300x200", "300x200"], "give one or two sizes"),
        (["300x200", "--aspect", "4:3"], "give one or two sizes"),
        (["300x200", "--set", "resizes=3"], "did you mean 'resize'"),
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["estimate", "match", *words]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_sizes_memories_and_aspects_are_read() -> None:
    assert image_size("1600x1060") == (1600, 1060)
    assert memory("16GB") == 16_000_000_000
    assert memory("1.5g") == 1_500_000_000
    assert memory("300 MB") == 300_000_000
    assert aspect("4:3") == ("4:3", 4 / 3)
    for read, text in ((image_size, "1600"), (image_size, "0x5"), (memory, "GB"), (aspect, "4:0"), (aspect, "1.3")):
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            read(text)
