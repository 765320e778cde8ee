"""A dataset is fetched once, checked, unpacked where `prepare` looks, and never over the user's files."""

import hashlib
import http.server
import json
import shutil
import threading
import zipfile
from pathlib import Path

import PIL.Image
import pytest
import yaml

from trigpoint.cli import main
from trigpoint.datasets import catalogue
from trigpoint.datasets.base import LAYOUTS
from trigpoint.datasets.catalogue import Archive, catalogue_entry, dataset_ids, licence_of, place_members
from trigpoint.datasets.eth_lfb import published_rows
from trigpoint.datasets.fetching import fetch_dataset, missing_parts
from trigpoint.datasets.tree import is_image_name
from trigpoint.errors import DataError, StorageError
from trigpoint.storage.announced_size import announced_size
from trigpoint.storage.download import Patience

QUICK = Patience(timeout_s=1.0, tries=1)
NOWHERE = "http://127.0.0.1:9"
HTTP_ONLY = {  # hosts whose addresses are published without encryption
    "cvg.ethz.ch", "landmark.cs.cornell.edu", "vision.soic.indiana.edu", "www.ok.sc.e.titech.ac.jp",
    "www.robots.ox.ac.uk",
}  # fmt: skip
BENCHMARK = {  # scene -> images, of the benchmark's instructions
    "fountain": 11, "herzjesu": 8, "south_building": 128, "madrid_metropolis": 1344, "gendarmenmarkt": 1463,
    "tower_of_london": 1576, "alamo": 2915, "roman_forum": 2364, "artsquad_dataset": 6514,
}  # fmt: skip
CONFIG = Path(__file__).parents[3] / "config.yaml"


def fountain_mirror(folder: Path, inner: str = "Fountain/images") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "Strecha-Fountain.zip", "w") as archive:
        for number in range(11):
            archive.writestr(f"{inner}/{number:04d}.png", b"image %d" % number)
        archive.writestr("Fountain/database.db", b"db")
    return folder


@pytest.fixture
def offline(monkeypatch):
    """The shipped catalogue with every address replaced by one that refuses at once."""
    values = catalogue._catalogue()
    text = json.dumps(values)
    for entry in values.values():
        for item in [*entry.get("archives", []), *entry.get("files", [])]:
            for url in item["urls"]:
                text = text.replace(json.dumps(url), json.dumps(f"{NOWHERE}/{Path(url).name}"))
    monkeypatch.setattr(catalogue, "_catalogue", lambda: json.loads(text))


def test_every_entry_can_be_read_and_prepared():
    assert {"demo", "aachen", "eth_lfb_fountain", "eth_lfb_herzjesu", "eth_lfb_south_building"} <= set(dataset_ids())
    for name in dataset_ids():
        entry = catalogue_entry(name)
        assert entry.layout in LAYOUTS
        assert entry.expects
        assert entry.licence == licence_of(name) != ""
        for item in [*entry.archives, *entry.files]:
            assert item.urls or entry.by_hand  # behind a form: where to get it is said instead
            hosts = {url.split("/")[2] for url in item.urls if not url.startswith("https://")}
            assert hosts <= HTTP_ONLY
            assert item.sha256 is None or len(item.sha256) == 64
        if entry.layout == "eth_lfb":
            assert published_rows(name.removeprefix("eth_lfb_"))
    assert licence_of("my_photos") == ""


def test_every_scene_of_the_benchmark_is_fetched_and_paired_as_it_prescribes():
    config = yaml.safe_load(CONFIG.read_text())
    assert set(config["collections"]["eth_lfb"]) == {f"eth_lfb_{scene}" for scene in BENCHMARK}
    for scene, count in BENCHMARK.items():
        assert catalogue_entry(f"eth_lfb_{scene}").expects == {"images": count}
        pairs = config["datasets"][f"eth_lfb_{scene}"]["pairs"]["map"]
        assert pairs == ({"kind": "exhaustive"} if count < 2000 else {"kind": "retrieval", "num_neighbors": 100})


def test_the_published_tables_are_consistent():
    for scene, count in BENCHMARK.items():
        rows = published_rows(scene)
        assert [row["method"] for row in rows][:6] == ["SIFT", "SIFT-PCA", "DSP-SIFT", "ConvOpt", "TFeat", "LIFT"]
        for row in rows:
            assert row["source"]
            assert 0 < row["registered"] <= count
            if "points3D" in row:
                tolerance = 1e-3 if "inlier_pairs" in row else 0.04  # the other table rounds observations
                mean = row["observations"] / row["points3D"]
                assert row["mean_track_length"] == pytest.approx(mean, rel=tolerance)
            if "inlier_pairs" in row:
                per_image = row["observations"] / row["registered"]
                assert row["mean_observations_per_image"] == pytest.approx(per_image, rel=1e-4)
                assert row["inlier_pairs"] <= count * (count - 1) // 2
    assert published_rows("gendarmenmarkt")[-1] == {
        "method": "PoSFeat",
        "source": "PoSFeat as listed by wizwand.com, by another matching protocol",
        "registered": 956,
    }
    assert published_rows("oxford5k") == ()


def test_published_checksums_are_those_of_the_public_cameras(shared):
    for name, folder in {"eth_lfb_fountain": "Fountain", "eth_lfb_herzjesu": "Herzjesu"}.items():
        extras = catalogue_entry(name).files
        assert len(extras) == catalogue_entry(name).expects["images"]
        for extra in extras:
            data = (shared / "data/eth_lfb" / folder / extra.path).read_bytes()
            assert hashlib.sha256(data).hexdigest() == extra.sha256


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["F/images/a.png", "F/images/x/b.png", "F/db.db"],
            {"F/images/a.png": "images/a.png", "F/images/x/b.png": "images/x/b.png"},
        ),
        (["F/deep/a.png", "F/deep/x/b.png"], {"F/deep/a.png": "images/a.png", "F/deep/x/b.png": "images/x/b.png"}),
        (["a.png"], {"a.png": "images/a.png"}),
        (["F/readme.txt", "__MACOSX/._a.png"], {}),
    ],
)
def test_images_of_an_archive_go_below_images_wherever_they_lie(names, expected):
    archive = Archive(file="x.zip", urls=(), into="images", anchor="images")
    assert place_members(archive, names, is_image_name) == expected


@pytest.mark.parametrize(
    ("scene", "prefix"),
    [
        ("gendarmenmarkt", "home/wilsonkl/projects/SfM_Init/dataset_images/Gendarmenmarkt/images/"),
        ("gendarmenmarkt", "home/wilsonkl/projects/SfM_Init/dataset_images/Gendarmenmarkt/"),
        ("madrid_metropolis", "Madrid_Metropolis/images/"),
        ("artsquad_dataset", "ArtsQuad_dataset/images/"),
        ("artsquad_dataset", ""),
    ],
)
def test_photographs_of_a_large_scene_go_below_images_wherever_their_archive_has_them(scene, prefix):
    (archive,) = catalogue_entry(f"eth_lfb_{scene}").archives
    names = [f"{prefix}1.jpg", f"{prefix}2.jpg", f"{prefix}list.txt"]
    assert list(place_members(archive, names, is_image_name).values()) == ["images/1.jpg", "images/2.jpg"]


@pytest.mark.parametrize("prefix", ["images_upright/", "aachen/images/images_upright/", ""])
def test_aachens_images_go_below_images_upright(prefix):
    archive = catalogue_entry("aachen").archives[0]
    names = [f"{prefix}db/1.jpg", f"{prefix}query/night/2.jpg"]
    placed = ["images/images_upright/db/1.jpg", "images/images_upright/query/night/2.jpg"]
    assert list(place_members(archive, names, is_image_name).values()) == placed


def test_fetch_unpacks_records_and_goes_on_without_optional_files(tmp_path, offline, capsys):
    mirror = fountain_mirror(tmp_path / "mirror")
    (mirror / "eth_lfb_fountain/gt_dense_cameras").mkdir(parents=True)
    root, output = tmp_path / "data/eth_lfb_fountain", tmp_path / "work/fetched.json"
    arguments = ["fetch", "--dataset", "eth_lfb_fountain", "--root", str(root), "--output", str(output)]
    options = ["--downloads", str(tmp_path / "downloads"), "--mirror", str(mirror), "--timeout-s", "1", "--tries", "1"]
    assert main([*arguments, *options]) == 0
    assert len(list((root / "images").iterdir())) == 11
    record = json.loads(output.read_text())
    assert record["kind"] == "fetched"
    assert "research use" in record["licence"]
    (file,) = record["files"]
    data = (tmp_path / "downloads/Strecha-Fountain.zip").read_bytes()
    assert file["source"] == (mirror / "Strecha-Fountain.zip").as_uri()
    assert (file["sha256"], file["size_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
    assert len(record["left_out"]) == 11
    assert "0000.jpg.camera and other optional files are left out" in capsys.readouterr().err
    assert (tmp_path / "downloads/Strecha-Fountain.zip.sha256").read_text().startswith(file["sha256"])


def test_a_complete_tree_is_left_alone(tmp_path, offline, shared):
    record = fetch_dataset("eth_lfb_fountain", shared / "data/eth_lfb/Fountain", tmp_path / "none", [], QUICK)
    assert record["files"] == []
    assert not (tmp_path / "none").exists()


def test_ground_truth_comes_along_where_it_can_be_had(tmp_path, offline, shared):
    mirror = fountain_mirror(tmp_path / "mirror")
    (mirror / "eth_lfb_fountain").symlink_to(shared / "data/eth_lfb/Fountain")
    record = fetch_dataset("eth_lfb_fountain", tmp_path / "root", tmp_path / "downloads", [str(mirror)], QUICK)
    assert record["left_out"] == []
    assert len(list((tmp_path / "root/gt_dense_cameras").iterdir())) == 11


def test_a_failed_fetch_says_where_to_put_the_file_and_that_works(tmp_path, offline):
    root, downloads = tmp_path / "root", tmp_path / "downloads"
    with pytest.raises(StorageError, match=rf"{NOWHERE}/Strecha-Fountain\.zip: .*put it at {downloads}") as caught:
        fetch_dataset("eth_lfb_fountain", root, downloads, [], QUICK)
    assert "\n" not in str(caught.value)
    assert not root.exists()
    fountain_mirror(downloads)
    fetch_dataset("eth_lfb_fountain", root, downloads, [], QUICK)
    assert missing_parts(catalogue_entry("eth_lfb_fountain"), root) == []


def test_an_archive_is_held_to_the_checksum_of_its_first_fetch(tmp_path, offline):
    downloads = fountain_mirror(tmp_path / "downloads")
    fetch_dataset("eth_lfb_fountain", tmp_path / "root", downloads, [], QUICK)
    fountain_mirror(downloads, inner="Other/images")
    with pytest.raises(StorageError, match=r"sha256 is .*, expected .*move it away"):
        fetch_dataset("eth_lfb_fountain", tmp_path / "root2", downloads, [], QUICK)


@pytest.fixture
def two_archives(monkeypatch, tmp_path):
    """A dataset of two archives of 6,000 bytes each, on a server that counts what it is asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name in "ab":
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr(f"images/{name}.png", bytes(6000))
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            asked.append(self.command)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    archives = [
        {"file": f"{n}.zip", "urls": [f"{address}/{n}.zip"], "into": "images", "anchor": "images"} for n in "ab"
    ]
    entry = {"title": "two", "layout": "photos", "licence": "none", "expects": {"images": 2}, "archives": archives}
    monkeypatch.setattr(catalogue, "_catalogue", lambda: {"two": entry})
    yield asked
    server.shutdown()


def free_bytes(monkeypatch, count):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(count, 0, count))


def test_room_for_all_archives_is_asked_for_before_the_first_download(tmp_path, monkeypatch, two_archives):
    free_bytes(monkeypatch, 20_000)  # enough for either archive with its content, not for both
    with pytest.raises(StorageError, match=r"^two, all archives and what is in them: .*GB needed"):
        fetch_dataset("two", tmp_path / "root", tmp_path / "downloads", [], QUICK)
    assert two_archives == ["HEAD", "HEAD"]
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "downloads").exists()


def test_what_is_there_already_needs_no_room_twice(tmp_path, monkeypatch, two_archives):
    downloads = tmp_path / "downloads"
    shutil.copytree(tmp_path / "served", downloads)
    free_bytes(monkeypatch, 13_000)  # for the content alone
    assert len(fetch_dataset("two", tmp_path / "root", downloads, [], QUICK)["files"]) == 2
    assert two_archives == []
    assert len(list((tmp_path / "root/images").iterdir())) == 2


def test_a_server_that_does_not_say_the_size_is_no_reason_to_refuse(tmp_path, monkeypatch, two_archives):
    monkeypatch.setattr("trigpoint.datasets.fetching.announced_size", lambda urls, timeout_s: None)
    free_bytes(monkeypatch, 13_000)
    fetch_dataset("two", tmp_path / "root", tmp_path / "downloads", [], QUICK)
    assert len(list((tmp_path / "root/images").iterdir())) == 2


def test_sizes_are_announced_by_the_first_address_that_answers(two_archives, tmp_path):
    (archive, _) = catalogue_entry("two").archives
    size = (tmp_path / "served/a.zip").stat().st_size
    assert announced_size([f"{NOWHERE}/a.zip", *archive.urls], 1.0) == size
    assert announced_size([(tmp_path / "served/a.zip").as_uri()]) == size
    assert announced_size(["ftp://127.0.0.1/a.zip", f"{archive.urls[0]}.absent"], 1.0) is None


def test_the_users_own_images_are_not_overwritten(tmp_path, offline):
    downloads = fountain_mirror(tmp_path / "downloads")
    mine = tmp_path / "root/images/0003.png"
    mine.parent.mkdir(parents=True)
    PIL.Image.new("RGB", (20, 20)).save(mine)
    before = mine.read_bytes()
    with pytest.raises(StorageError, match=r"0003\.png is there with another content"):
        fetch_dataset("eth_lfb_fountain", tmp_path / "root", downloads, [], QUICK)
    assert mine.read_bytes() == before
    assert list(mine.parent.iterdir()) == [mine]


def test_archives_without_the_expected_images_are_refused(tmp_path, offline):
    (tmp_path / "downloads").mkdir()
    with zipfile.ZipFile(tmp_path / "downloads/Strecha-Fountain.zip", "w") as archive:
        archive.writestr("readme.txt", "moved")
    with pytest.raises(StorageError, match="no images in it"):
        fetch_dataset("eth_lfb_fountain", tmp_path / "root", tmp_path / "downloads", [], QUICK)


def test_an_unknown_id_lists_what_there_is_and_the_nearest(tmp_path):
    with pytest.raises(DataError, match=r"known: aachen.*did you mean 'eth_lfb_fountain'.*data/eth_lfb_fontain/images"):
        fetch_dataset("eth_lfb_fontain", tmp_path, tmp_path)


def test_the_demo_is_not_downloaded(tmp_path):
    with pytest.raises(DataError, match="install the package again"):
        fetch_dataset("demo", tmp_path / "root", tmp_path / "downloads")


def test_the_catalogue_is_plain_yaml():
    text = Path(catalogue.__file__).with_suffix(".yaml").read_text()
    assert set(yaml.safe_load(text)) == set(dataset_ids())
