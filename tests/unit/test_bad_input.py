"""Every row of docs/bad-input.md, run through the public command with real files."""

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ExifTags

from trigpoint.cli import main
from trigpoint.datasets import catalogue
from trigpoint.storage.dataset import read_dataset, write_dataset
from trigpoint.storage.features import FeatureReader
from trigpoint.storage.matches import MatchReader
from trigpoint.types import Dataset

TABLE = Path(__file__).parents[2] / "docs/bad-input.md"
ROW = re.compile(r"\| `([a-z0-9-]+)` \| ([a-z-]+) \| (handled|listed|refused) \| \S.*\|")
ROWS = {match[1]: (match[2], match[3]) for line in TABLE.read_text().splitlines() if (match := ROW.fullmatch(line))}
CASES: dict[str, Callable[["Bench"], None]] = {}
SIFT = {"method": "sift", "settings": {}, "seed": 0, "code_version": 1}


def case(name: str) -> Callable[[Callable[["Bench"], None]], Callable[["Bench"], None]]:
    def register(function: Callable[["Bench"], None]) -> Callable[["Bench"], None]:
        CASES[name] = function
        return function

    return register


def pattern(size=(160, 120), seed=0) -> PIL.Image.Image:
    """Bright blobs that SIFT finds, dark ground."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[1], : size[0]]
    image = np.full((size[1], size[0]), 20.0)
    for _ in range(25):
        cx, cy, radius = rng.uniform(10, size[0] - 10), rng.uniform(10, size[1] - 10), rng.uniform(2, 6)
        image += 200 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))
    return PIL.Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).convert("RGB")


@dataclass
class Bench:
    """A folder with photographs, and the commands on it; the last command's end is kept."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    code: int = 0
    said: str = ""
    commands: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.folder / "data/p"

    @property
    def images(self) -> Path:
        (self.root / "images").mkdir(parents=True, exist_ok=True)
        return self.root / "images"

    @property
    def error(self) -> str:
        """The line on standard error that a refusal ends with."""
        return self.said.strip().split("\n")[-1]

    @property
    def dataset(self) -> Dataset:
        return read_dataset(self.folder / "dataset.json")

    def two_photos(self) -> None:
        for seed, name in enumerate(["one.png", "two.png"]):
            pattern(seed=seed).save(self.images / name)

    def run(self, command: str, *options: object) -> int:
        self.commands.append(command)
        self.capsys.readouterr()
        self.code = main([command, *map(str, options)])
        self.said = self.capsys.readouterr().err
        return self.code

    def prepare(self, *options: str, layout: str = "photos") -> int:
        where = ["--root", self.root, "--output", self.folder / "dataset.json"]
        return self.run("prepare", "--dataset", "p", "--layout", layout, *where, *options)

    def extract(self, **settings: object) -> int:
        files = ["--dataset", self.folder / "dataset.json", "--output", self.folder / "features.h5"]
        return self.run("extract-features", "--settings", json.dumps({**SIFT, **settings}), *files)

    def prepare_and_extract(self) -> None:
        assert self.prepare("--strict") == 0
        self.extract()

    def match(self, pairs: str = "one.png two.png\n") -> int:
        (self.folder / "pairs.txt").write_text(pairs)
        files = [f"--{kind}={self.folder / name}" for kind, name in
                 {"dataset": "dataset.json", "features": "features.h5", "pairs": "pairs.txt"}.items()]  # fmt: skip
        settings = json.dumps({"matcher": "mutual_nn", "settings": {}})
        return self.run("match-pairs", "--settings", settings, *files, "--output", self.folder / "matches.h5")

    def import_database(self) -> int:
        files = {"dataset": "dataset.json", "features": "features.h5", "matches": "matches.h5", "pairs": "pairs.txt"}
        options = [f"--{kind}={self.folder / name}" for kind, name in files.items()]
        settings = json.dumps({"intrinsics": "estimate"})
        return self.run("import-database", "--settings", settings, *options, "--output", self.folder / "imported.db")

    def features(self, name: str):
        with FeatureReader(self.folder / "features.h5") as reader:
            return reader.read(name)

    def listed(self, name: str, reason: str) -> None:
        """After `prepare`: the image is left out for this reason, the two photographs are there."""
        assert self.code == 0
        dataset = self.dataset
        assert [item.name for item in dataset.images] == ["one.png", "two.png"]
        reasons = dict(dataset.unusable)
        assert list(reasons) == [name]
        assert reason in reasons[name]
        assert "unusable, left out" in self.said


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys) -> Bench:
    return Bench(tmp_path, monkeypatch, capsys)


def test_the_table_and_the_cases_are_the_same():
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    assert len(rows) == len(ROWS) == len(CASES)
    assert set(ROWS) == set(CASES)


@pytest.mark.parametrize("name", ROWS)
def test_bad_input(bench, name):
    command, outcome = ROWS[name]
    CASES[name](bench)
    assert bench.commands[-1] == command
    assert bench.code == (2 if outcome == "refused" else 0)
    if outcome == "refused":
        assert bench.error.startswith(f"trigpoint {command}: ")
        assert "Traceback" not in bench.said
        assert not list(bench.folder.glob("*.partial"))
    assert (outcome == "listed") == ("unusable, left out" in bench.said and outcome != "refused")


# ---- images that cannot be used


def broken_image(bench: Bench, name: str, data: bytes, reason: str) -> None:
    bench.two_photos()
    (bench.images / name).write_bytes(data)
    bench.prepare()
    bench.listed(name, reason)


def encoded(suffix: str) -> bytes:
    path = Path(os.environ["PYTEST_TMP"]) / f"x.{suffix}"
    pattern().save(path)
    return path.read_bytes()


@pytest.fixture(autouse=True)
def scratch(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PYTEST_TMP", str(tmp_path_factory.mktemp("scratch")))


@case("empty-file")
def _(bench: Bench) -> None:
    broken_image(bench, "bad.jpg", b"", "empty")


@case("not-an-image")
def _(bench: Bench) -> None:
    broken_image(bench, "bad.jpg", b"Dear diary,", "not an image")


@case("damaged-header")
def _(bench: Bench) -> None:
    broken_image(bench, "bad.jpg", encoded("jpg")[:12], "damaged")


@case("truncated-jpeg")
def _(bench: Bench) -> None:
    data = encoded("jpg")
    broken_image(bench, "bad.jpg", data[: len(data) // 2], "truncated")


@case("truncated-png")
def _(bench: Bench) -> None:
    data = encoded("png")
    broken_image(bench, "bad.png", data[: len(data) // 2], "truncated")


@case("heic")
def _(bench: Bench) -> None:
    broken_image(bench, "IMG_1.HEIC", b"\0\0\0\x18ftypheic", "convert it")


@case("one-pixel")
def _(bench: Bench) -> None:
    bench.two_photos()
    PIL.Image.new("RGB", (1, 1)).save(bench.images / "dot.png")
    bench.prepare()
    bench.listed("dot.png", "1x1 px")


@case("dangling-link")
def _(bench: Bench) -> None:
    bench.two_photos()
    (bench.images / "gone.jpg").symlink_to(bench.folder / "nowhere.jpg")
    bench.prepare()
    bench.listed("gone.jpg", "No such file")


@case("name-not-utf8")
def _(bench: Bench) -> None:
    bench.two_photos()
    try:
        Path(os.fsdecode(os.fsencode(bench.images) + b"/\xff.png")).write_bytes(encoded("png"))
    except OSError:
        pytest.skip("this file system refuses such names itself")
    bench.prepare()
    bench.listed("\udcff.png", "rename it")


@case("name-with-line-break")
def _(bench: Bench) -> None:
    bench.two_photos()
    (bench.images / "two\nlines.png").write_bytes(encoded("png"))
    bench.prepare()
    bench.listed("two\nlines.png", "rename it")


@case("strict")
def _(bench: Bench) -> None:
    bench.two_photos()
    (bench.images / "bad.jpg").write_bytes(b"")
    (bench.images / "worse.jpg").write_bytes(b"")
    bench.prepare("--strict")
    assert "bad.jpg: the file is empty" in bench.error
    assert "1 more" in bench.error


@case("no-usable-image")
def _(bench: Bench) -> None:
    (bench.images / "bad.jpg").write_bytes(b"")
    bench.prepare()
    assert "0 usable images to map, 1 unusable (bad.jpg: the file is empty" in bench.error


@case("no-folder")
def _(bench: Bench) -> None:
    bench.prepare()
    assert f"{bench.root}/images: no such folder; put the photographs" in bench.error


# ---- images of every kind


def usable_image(bench: Bench, name: str, image: PIL.Image.Image, size=(160, 120), **options) -> None:
    """The image gives the features of the plain photograph, about."""
    bench.two_photos()
    image.save(bench.images / name, **options)
    bench.prepare_and_extract()
    features, plain = bench.features(name), bench.features("one.png")
    assert features.image_size == size
    assert len(features) >= 0.5 * len(plain) > 5
    distance = np.linalg.norm(features.keypoints[:, None] - plain.keypoints[None], axis=2).min(axis=1)
    assert np.median(distance) < 1.0


@case("grey")
def _(bench: Bench) -> None:
    usable_image(bench, "x.png", pattern().convert("L"))


@case("palette")
def _(bench: Bench) -> None:
    usable_image(bench, "x.png", pattern().quantize(256))


@case("alpha")
def _(bench: Bench) -> None:
    image = pattern()
    image.putalpha(255)
    usable_image(bench, "x.png", image)


@case("cmyk")
def _(bench: Bench) -> None:
    usable_image(bench, "x.jpg", pattern().convert("CMYK"), quality=100)


@case("sixteen-bit")
def _(bench: Bench) -> None:
    deep = np.asarray(pattern().convert("L")).astype(np.uint16) * 257
    usable_image(bench, "x.png", PIL.Image.fromarray(deep))


@case("exif-rotated")
def _(bench: Bench) -> None:
    exif = PIL.Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    usable_image(bench, "x.jpg", pattern().rotate(90, expand=True), exif=exif, quality=100)


@case("animation")
def _(bench: Bench) -> None:
    frames = [pattern().convert("L"), pattern(seed=9).convert("L")]
    usable_image(bench, "x.tif", frames[0], save_all=True, append_images=frames[1:])


@case("huge")
def _(bench: Bench) -> None:
    bench.two_photos()
    wide = PIL.Image.new("RGB", (20_000, 400), (20, 20, 20))
    wide.paste(pattern((300, 100)).resize((1200, 400)), (18_000, 0))
    wide.save(bench.images / "wide.png", compress_level=1)
    assert bench.prepare("--strict") == 0
    assert bench.extract(settings={"max_image_size": 4096}) == 0
    assert "wide.png: 20000x400 px, decoded at reduced size 16384x327" in bench.said
    features = bench.features("wide.png")
    assert features.image_size == (20_000, 400)
    assert len(features) > 5
    assert features.keypoints[:, 0].min() > 17_900


@case("duplicate-stems")
def _(bench: Bench) -> None:
    for seed, name in enumerate(["a.jpg", "a.png", "A.jpg"]):
        pattern(seed=seed).save(bench.images / name)
    bench.prepare_and_extract()
    counts = {name: bench.features(name).keypoints.sum() for name in ("a.jpg", "a.png", "A.jpg")}
    assert len(set(counts.values())) == 3


@case("odd-names")
def _(bench: Bench) -> None:
    names = ["my photo.png", 'say "hi".png', "100%2F.png", "#1.png", "каталог/写真 é.png", "a/b.png", "a%2Fb.png"]
    for name in names:
        (bench.images / name).parent.mkdir(exist_ok=True)
        pattern().save(bench.images / name)
    bench.prepare_and_extract()
    with FeatureReader(bench.folder / "features.h5") as reader:
        assert sorted(reader.names()) == sorted(names)
    assert [item.name for item in bench.dataset.images] == sorted(names)


@case("files-untouched")
def _(bench: Bench) -> None:
    bench.two_photos()
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in bench.images.iterdir()}
    bench.prepare_and_extract()
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in bench.images.iterdir()} == before
    assert [path.name for path in bench.root.iterdir()] == ["images"]


# ---- names and calibration


@case("name-with-dot-dot")
def _(bench: Bench) -> None:
    bench.two_photos()
    pattern().save(bench.folder / "secret.png")
    (bench.root / "queries.txt").write_text("../../../secret.png\n")
    bench.prepare()
    assert "queries.txt: not below images/: ../../../secret.png" in bench.error


@case("dot-dot-in-dataset")
def _(bench: Bench) -> None:
    bench.two_photos()
    bench.prepare()
    pattern().save(bench.root / "secret.png")
    dataset = bench.dataset
    images = tuple(replace(item, name="../secret.png") for item in dataset.images[:1])
    write_dataset(bench.folder / "dataset.json", replace(dataset, images=images))
    bench.extract(strict=True)
    assert "'../secret.png' is no name below" in bench.error


@case("damaged-calibration")
def _(bench: Bench) -> None:
    bench.two_photos()
    (bench.root / "cameras_gt.txt").write_text("# cameras\none.png 1 2 3\n")
    bench.prepare()
    assert "cameras_gt.txt, line 2: expected a name and 18 numbers" in bench.error


@case("calibration-of-another-size")
def _(bench: Bench) -> None:
    bench.two_photos()
    (bench.root / "cameras_gt.txt").write_text("one.png 99 99 40 30 1 0 0 0 1 0 0 0 1 0 0 0 80 60\n")
    bench.prepare()
    assert "one.png: 160x120 px, but its calibration is for 80x60" in bench.error


@case("incomplete-aachen")
def _(bench: Bench) -> None:
    (bench.root / "images/images_upright/db").mkdir(parents=True)
    bench.prepare(layout="aachen")
    assert (
        "missing 3D-models/aachen_cvpr2018_db.nvm (from 3D-models/aachen_cvpr2018_db.nvm),"
        " 3D-models/database_intrinsics.txt" in bench.error
    )


# ---- later stages


@case("image-gone")
def _(bench: Bench) -> None:
    bench.two_photos()
    bench.prepare()
    (bench.images / "two.png").unlink()
    bench.extract()
    assert "no features: two.png: cannot be read" in bench.said
    assert len(bench.features("two.png")) == 0
    assert len(bench.features("one.png")) > 5


@case("image-gone-strict")
def _(bench: Bench) -> None:
    bench.two_photos()
    bench.prepare()
    (bench.images / "two.png").unlink()
    bench.extract(strict=True)
    assert "two.png: cannot be read" in bench.error
    assert not (bench.folder / "features.h5").exists()


def flat_photos(bench: Bench) -> None:
    for name in ("one.png", "two.png"):
        PIL.Image.new("RGB", (64, 48), (90, 90, 90)).save(bench.images / name)
    bench.prepare_and_extract()


@case("zero-keypoints")
def _(bench: Bench) -> None:
    flat_photos(bench)
    assert len(bench.features("one.png")) == 0
    bench.match()
    with MatchReader(bench.folder / "matches.h5") as reader:
        assert len(reader.read("one.png", "two.png")) == 0


@case("zero-matches")
def _(bench: Bench) -> None:
    flat_photos(bench)
    assert bench.match() == 0
    assert bench.import_database() == 0
    files = ["--database", bench.folder / "imported.db", "--output", bench.folder / "database.db"]
    verified = bench.run("verify-pairs", *files)
    database = bench.folder / ("database.db" if verified == 0 else "imported.db")
    outputs = ["--output", bench.folder / "model", "--log", bench.folder / "mapping.json"]
    bench.run("map", "--dataset", bench.folder / "dataset.json", "--database", database, *outputs)
    assert "no model could be built" in bench.error
    assert not (bench.folder / "model").exists()


@case("existing-database")
def _(bench: Bench) -> None:
    bench.two_photos()
    bench.prepare_and_extract()
    bench.match()
    (bench.folder / "imported.db").write_bytes(b"left over from something else")
    bench.import_database()
    assert (bench.folder / "imported.db").read_bytes().startswith(b"SQLite format 3")


@case("unknown-image-in-pairs")
def _(bench: Bench) -> None:
    bench.two_photos()
    bench.prepare_and_extract()
    bench.match("one.png three.png\n")
    assert "'three.png' is no image of" in bench.error


@case("damaged-features")
def _(bench: Bench) -> None:
    bench.two_photos()
    bench.prepare_and_extract()
    path = bench.folder / "features.h5"
    path.write_bytes(path.read_bytes()[:3000])
    bench.match()
    assert "features.h5" in bench.error
    assert "trigpoint extract-features" in bench.error


def run_with_file_size_limit(bench: Bench, limit: int, command: str, *options: object) -> None:
    """The command in a process whose files may not grow beyond a limit: what a quota or a full disk does."""
    program = "import sys; from trigpoint.cli import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", program, command, *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    bench.commands.append(command)
    bench.code, bench.said = ended.returncode, ended.stderr


@case("full-disk")
def _(bench: Bench) -> None:
    bench.two_photos()
    where = ["--root", bench.root, "--output", bench.folder / "dataset.json"]
    run_with_file_size_limit(bench, 100, "prepare", "--dataset", "p", "--layout", "photos", *where)
    assert "dataset.json: no room left on the disk" in bench.error
    assert not (bench.folder / "dataset.json").exists()


@case("full-disk-features")
def _(bench: Bench) -> None:
    bench.two_photos()
    bench.prepare()
    files = ["--dataset", bench.folder / "dataset.json", "--output", bench.folder / "features.h5"]
    run_with_file_size_limit(bench, 4096, "extract-features", "--settings", json.dumps(SIFT), *files)
    assert "features.h5: no room left on the disk" in bench.error
    assert not (bench.folder / "features.h5").exists()


# ---- downloads and archives


def fetch(bench: Bench, checksum: str | None = None) -> None:
    """Fetch a dataset of two images whose archive lies in downloads/, from an address that refuses."""
    entry = {
        "title": "two images", "layout": "photos", "licence": "none", "expects": {"images": 2},
        "archives": [{"file": "x.zip", "urls": ["http://127.0.0.1:9/x.zip"], "into": "images", "anchor": "images",
                      "sha256": checksum}],
    }  # fmt: skip
    bench.monkeypatch.setattr(catalogue, "_catalogue", lambda: {"p": entry})
    where = ["--root", bench.root, "--downloads", bench.folder / "downloads", "--tries", 1]
    bench.run("fetch", "--dataset", "p", *where, "--output", bench.folder / "fetched.json")
    assert not (bench.folder / "fetched.json").exists()


def archive(bench: Bench, *members: str) -> Path:
    path = bench.folder / "downloads/x.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        for member in ["images/a.png", "images/b.png", *members]:
            file.writestr(member, encoded("png"))
    return path


def refused_unopened(bench: Bench, reason: str) -> None:
    fetch(bench)
    assert reason in bench.error
    assert not bench.root.exists()


@case("wrong-checksum")
def _(bench: Bench) -> None:
    path = archive(bench)
    fetch(bench, checksum="0" * 64)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in bench.error
    assert "expected 0000" in bench.error


@case("archive-absolute-path")
def _(bench: Bench) -> None:
    archive(bench, "/etc/images/a.png")
    refused_unopened(bench, "member '/etc/images/a.png' is a path that leads out of the folder")


@case("archive-dot-dot")
def _(bench: Bench) -> None:
    archive(bench, "images/../../a.png")
    refused_unopened(bench, "member 'images/../../a.png' is a path that leads out of the folder")


@case("archive-link")
def _(bench: Bench) -> None:
    (bench.folder / "downloads").mkdir()
    with tarfile.open(bench.folder / "downloads/x.zip", "w") as file:
        info = tarfile.TarInfo("images/a.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    refused_unopened(bench, "member 'images/a.png' is a link")


@case("archive-truncated")
def _(bench: Bench) -> None:
    path = archive(bench)
    path.write_bytes(path.read_bytes()[:-30])
    refused_unopened(bench, "x.zip: damaged")


@case("archive-over-own-file")
def _(bench: Bench) -> None:
    archive(bench)
    (bench.images / "b.png").write_bytes(b"mine")
    fetch(bench)
    assert "b.png is there with another content" in bench.error
    assert {path.name: path.read_bytes() for path in bench.images.iterdir()} == {"b.png": b"mine"}


@case("unreachable")
def _(bench: Bench) -> None:
    fetch(bench)
    assert "http://127.0.0.1:9/x.zip: not reached" in bench.error
    assert f"put it at {bench.folder}/downloads/x.zip" in bench.error


# ---- checkpoints and settings


class Code:
    """Unpickling this makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def extract_with_weights(bench: Bench, content: object) -> None:
    import torch

    bench.two_photos()
    bench.prepare()
    path = bench.folder / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    bench.extract(method="disk", settings={"weights": str(path)})
    assert "weights.pth" in bench.error
    assert not (bench.folder / "features.h5").exists()


@case("checkpoint-with-code")
def _(bench: Bench) -> None:
    extract_with_weights(bench, {"extractor": Code(bench.folder / "run")})
    assert "would run code" in bench.error
    assert not (bench.folder / "run").exists()


@case("checkpoint-missing")
def _(bench: Bench) -> None:
    bench.two_photos()
    bench.prepare()
    (bench.folder / "pairs.txt").write_text("one.png two.png\n")
    files = ["--dataset", bench.folder / "dataset.json", "--pairs", bench.folder / "pairs.txt"]
    settings = {"method": "pump", "settings": {"desc": "gone.pt"}}
    bench.run("match-pairs", "--settings", json.dumps(settings), *files, "--output", bench.folder / "shard.h5")
    assert "gone.pt: neither a file nor a registered checkpoint (" in bench.error
    assert "pump-stytrf" in bench.error
    assert not (bench.folder / "shard.h5").exists()


@case("checkpoint-damaged")
def _(bench: Bench) -> None:
    extract_with_weights(bench, b"no checkpoint")


@case("network-nan")
def _(bench: Bench) -> None:
    import torch

    from trigpoint.networks.disk_unet import DiskUNet

    state = {name: torch.full_like(value, float("nan")) for name, value in DiskUNet().state_dict().items()}
    extract_with_weights(bench, {"extractor": state})
    assert "one.png" in bench.error
    assert "not finite" in bench.error


@case("unknown-setting")
def _(bench: Bench) -> None:
    bench.two_photos()
    bench.prepare("--settings", '{"query_patern": "q/*"}')
    assert "unknown setting 'query_patern'" in bench.error
    assert "did you mean 'query_pattern'?" in bench.error
