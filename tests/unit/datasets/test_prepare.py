"""Raw trees of each layout become the dataset they describe."""

import logging
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ExifTags

from trigpoint.cli import main
from trigpoint.datasets.base import PrepareSettings, prepare_dataset
from trigpoint.datasets.cameras_gt import read_cameras_gt
from trigpoint.datasets.eth_lfb import published_rows, read_strecha_camera
from trigpoint.datasets.nvm import read_nvm_poses
from trigpoint.errors import DataError, ImageError, SettingsError
from trigpoint.geometry.pose import matrix_from_quaternion, quaternion_from_matrix
from trigpoint.storage.dataset import read_dataset

ROTATION = matrix_from_quaternion([0.9, 0.1, -0.3, 0.2])


def image(path: Path, size=(40, 30), colour=(90, 90, 90), **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", size, colour).save(path, **options)


def photos(root: Path, names=("a.jpg", "b.jpg"), **options) -> Path:
    for name in names:
        image(root / "images" / name, **options)
    return root


def gt_line(name: str, size=(40, 30), centre=(20, 15), rotation=ROTATION, translation=(1, 2, 3)) -> str:
    values = [50, 51, *centre, *np.asarray(rotation).ravel(), *translation, *size]
    return f"{name} " + " ".join(repr(float(value)) for value in values[:-2]) + f" {size[0]} {size[1]}\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_plain_photos_are_all_mapped_and_left_as_they_were(tmp_path):
    root = photos(tmp_path / "p", ["b b.JPG", "é/a.png", "x.jpg", "x.png"])
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*.*")}
    dataset = prepare_dataset("p", "photos", root)
    assert [item.name for item in dataset.images] == ["b b.JPG", "x.jpg", "x.png", "é/a.png"]
    assert {item.role for item in dataset.images} == {"map"}
    assert dataset.images[0].size == (40, 30)
    assert dataset.images[0].camera is None
    assert (dataset.poses, dataset.pose_unit, dataset.reference_images) == ({}, "arbitrary", ())
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*.*")} == before


def test_names_that_differ_in_case_only_are_two_images(tmp_path):
    dataset = prepare_dataset("p", "photos", photos(tmp_path, ["a.jpg", "A.jpg", "a.JPG"]))
    assert len(dataset.images) == 3


def test_signature_changes_with_the_file(tmp_path):
    root = photos(tmp_path)
    first = prepare_dataset("p", "photos", root).images[0].signature
    os.utime(root / "images/a.jpg", ns=(1, 1))
    assert prepare_dataset("p", "photos", root).images[0].signature != first


def test_cameras_gt_gives_calibration_and_poses_to_evaluate_against(tmp_path):
    root = photos(tmp_path, ["my photo.jpg", "b.jpg"])
    write(root / "cameras_gt.txt", "# comment\n" + gt_line("my photo.jpg") + gt_line("b.jpg"))
    dataset = prepare_dataset("p", "photos", root)
    camera = next(item.camera for item in dataset.images if item.name == "my photo.jpg")
    assert (camera.model, camera.width, camera.height) == ("PINHOLE", 40, 30)
    assert camera.params == (50, 51, 20, 15)
    assert camera.has_prior_focal_length
    np.testing.assert_allclose(dataset.poses["b.jpg"].rotation, ROTATION)
    assert dataset.poses["b.jpg"].translation.tolist() == [1, 2, 3]
    assert dataset.reference_images == ()
    used = prepare_dataset("p", "photos", root, PrepareSettings(use_poses=True, pose_unit="metre"))
    assert used.reference_images == ("b.jpg", "my photo.jpg")
    assert used.pose_unit == "metre"


@pytest.mark.parametrize(("origin", "shift"), [("centre", 0.5), ("corner", 0.0)])
def test_pixel_origin_moves_the_principal_point_to_colmaps(tmp_path, origin, shift):
    path = write(tmp_path / "cameras_gt.txt", f"# pixel_origin: {origin}\n" + gt_line("a.jpg"))
    assert read_cameras_gt(path)["a.jpg"][0].params[2:] == (20 + shift, 15 + shift)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# pixel_origin: middle\n", "'corner' or 'centre'"),
        ("a.jpg 1 2 3\n", "a name and 18 numbers"),
        (gt_line("a.jpg").replace("50.0", "wide"), "a name and 18 numbers"),
        (gt_line("a.jpg").replace("50.0", "nan"), "not finite"),
        (gt_line("a.jpg").replace("50.0", "-50.0"), "positive"),
        (gt_line("a.jpg", rotation=2 * np.eye(3)), "no rotation"),
        (gt_line("a.jpg", rotation=-np.eye(3)), "no rotation"),
        (gt_line("a.jpg") * 2, "'a.jpg' has a line already"),
    ],
)
def test_damaged_cameras_gt_is_refused_with_its_line(tmp_path, text, problem):
    with pytest.raises(DataError, match=rf"cameras_gt\.txt, line \d: .*{problem}"):
        read_cameras_gt(write(tmp_path / "cameras_gt.txt", text))


def test_names_on_one_side_only_are_said(tmp_path, caplog):
    root = photos(tmp_path)
    write(root / "cameras_gt.txt", gt_line("a.jpg") + gt_line("gone.jpg"))
    dataset = prepare_dataset("p", "photos", root)
    assert list(dataset.poses) == ["a.jpg"]
    assert "1 images that are not there: gone.jpg" in caplog.text
    assert "1 images are not in" in caplog.text


def test_listed_names_find_images_in_deeper_folders_if_only_one_fits(tmp_path, caplog):
    root = photos(tmp_path, ["sensors/rgb/a.jpg", "sensors/rgb/b.jpg", "other/b.jpg"])
    write(root / "cameras_gt.txt", gt_line("rgb/a.jpg") + gt_line("b.jpg"))
    assert list(prepare_dataset("p", "photos", root).poses) == ["sensors/rgb/a.jpg"]
    assert "b.jpg (ambiguous)" in caplog.text


def test_cameras_among_the_images_hold_for_their_folder(tmp_path):
    root = photos(tmp_path, ["map/x/a.jpg", "query/x/a.jpg"])
    write(root / "images/map/cameras_gt.txt", gt_line("x/a.jpg"))
    write(root / "images/query/cameras_gt.txt", gt_line("x/a.jpg", translation=(7, 8, 9)))
    poses = prepare_dataset("p", "photos", root).poses
    assert poses["map/x/a.jpg"].translation.tolist() == [1, 2, 3]
    assert poses["query/x/a.jpg"].translation.tolist() == [7, 8, 9]


@pytest.mark.parametrize("folder", ["sparse/0", "sparse", "model"])
@pytest.mark.parametrize("form", ["text", "binary"])
def test_a_colmap_model_gives_cameras_and_poses(tmp_path, folder, form):
    root = photos(tmp_path)
    target = root / folder
    quaternion = " ".join(repr(float(value)) for value in quaternion_from_matrix(ROTATION))
    write(target / "cameras.txt", "1 SIMPLE_RADIAL 40 30 50 20 15 0.01\n")
    write(target / "images.txt", f"1 {quaternion} 1 2 3 1 a.jpg\n\n2 1 0 0 0 0 0 0 1 b.jpg\n\n")
    write(target / "points3D.txt", "")
    if form == "binary":
        import pycolmap

        model = pycolmap.Reconstruction(str(target))
        shutil.rmtree(target)
        target.mkdir(parents=True)
        model.write_binary(str(target))
    dataset = prepare_dataset("p", "photos", root)
    assert dataset.images[0].camera.model == "SIMPLE_RADIAL"
    assert dataset.images[0].camera.params == (50, 20, 15, 0.01)
    np.testing.assert_allclose(dataset.poses["a.jpg"].rotation, ROTATION, atol=1e-12)
    assert dataset.poses["a.jpg"].translation.tolist() == [1, 2, 3]


def test_a_damaged_colmap_model_is_named(tmp_path):
    root = photos(tmp_path)
    write(root / "sparse/images.bin", "no model")
    with pytest.raises(DataError, match=r"sparse.*COLMAP model"):
        prepare_dataset("p", "photos", root)


def test_calibration_for_another_size_is_refused(tmp_path):
    root = photos(tmp_path)
    write(root / "cameras_gt.txt", gt_line("a.jpg", size=(80, 60)))
    with pytest.raises(DataError, match=r"a\.jpg: 40x30 px, but its calibration is for 80x60"):
        prepare_dataset("p", "photos", root)


def test_queries_by_pattern_and_by_list(tmp_path):
    root = photos(tmp_path, ["map/a.jpg", "map/b.jpg", "query/c.jpg"])
    by_pattern = prepare_dataset("p", "photos", root, PrepareSettings(query_pattern="query/*", query_split="night"))
    assert [(item.name, item.split) for item in by_pattern.with_role("query")] == [("query/c.jpg", "night")]
    write(root / "queries.txt", "# localize these\nquery/c.jpg\n")
    assert [item.name for item in prepare_dataset("p", "photos", root).with_role("query")] == ["query/c.jpg"]
    with pytest.raises(DataError, match="no name matches"):
        prepare_dataset("p", "photos", root, PrepareSettings(query_pattern="nothing/*"))
    write(root / "queries.txt", "query/gone.jpg\n")
    with pytest.raises(DataError, match=r"queries\.txt.*query/gone\.jpg"):
        prepare_dataset("p", "photos", root)


def test_camera_groups_share_what_one_camera_took(tmp_path):
    exif = PIL.Image.Exif()
    exif[ExifTags.Base.Model] = "Box"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 28
    for name in ("box/a.jpg", "box/b.jpg"):
        image(tmp_path / "images" / name, exif=exif)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 50
    image(tmp_path / "images/box/tele.jpg", exif=exif)
    for name in ("video/1.png", "video/2.png"):
        image(tmp_path / "images" / name)
    image(tmp_path / "images/web/1.png")
    image(tmp_path / "images/web/2.png")
    image(tmp_path / "images/web/3.png", size=(60, 50))
    images = prepare_dataset("p", "photos", tmp_path).images
    groups = {item.name: item.camera_group for item in images}
    assert {item.name: item.exif_focal_px for item in images}["box/a.jpg"] == 28 / 35 * 40
    assert {item.name: item.exif_focal_px for item in images}["web/1.png"] is None
    assert groups["box/a.jpg"] == groups["box/b.jpg"] == "box|40x30|Box|28 mm"
    assert groups["box/tele.jpg"] != groups["box/a.jpg"]
    assert groups["video/1.png"] == groups["video/2.png"]
    assert groups["web/1.png"] != groups["web/2.png"]


def test_unusable_images_are_listed_and_the_rest_goes_on(tmp_path, caplog):
    root = photos(tmp_path)
    (root / "images/broken.jpg").write_bytes(b"x")
    image(root / "images/dot.png", size=(1, 1))
    dataset = prepare_dataset("p", "photos", root, num_workers=2)
    assert [item.name for item in dataset.images] == ["a.jpg", "b.jpg"]
    assert [name for name, _ in dataset.unusable] == ["broken.jpg", "dot.png"]
    assert "unusable, left out: broken.jpg: not an image" in caplog.text
    assert "1x1 px" in dict(dataset.unusable)["dot.png"]
    with pytest.raises(ImageError, match=r"broken\.jpg: not an image.*1 more"):
        prepare_dataset("p", "photos", root, strict=True)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_names_no_text_file_can_hold_are_unusable(tmp_path):
    root = photos(tmp_path)
    data = (root / "images/a.jpg").read_bytes()
    Path(os.fsdecode(os.fsencode(root) + b"/images/\xff.jpg")).write_bytes(data)
    (root / "images/two\nlines.jpg").write_bytes(data)
    reasons = [reason for _, reason in prepare_dataset("p", "photos", root).unusable]
    assert len(reasons) == 2
    assert all("rename it" in reason for reason in reasons)


@pytest.mark.parametrize("names", [[], ["a.jpg"]])
def test_too_few_images_are_refused_with_the_cure(tmp_path, names):
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"put photographs there|1 usable images to map"):
        prepare_dataset("p", "photos", photos(tmp_path, names))


def test_a_missing_folder_and_an_unknown_layout_are_named(tmp_path):
    with pytest.raises(DataError, match="images: no such folder"):
        prepare_dataset("p", "photos", tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="known: aachen"):
        prepare_dataset("p", "slides", tmp_path)


# ---- Aachen


def aachen(root: Path, folder="3D-models") -> Path:
    sizes = {"db/1.jpg": (40, 30), "db/2.jpg": (30, 40), "query/day/d.jpg": (40, 30), "query/night/n.jpg": (40, 30)}
    for name, size in sizes.items():
        image(root / "images/images_upright" / name, size=size)
    w, x, y, z = quaternion_from_matrix(ROTATION)
    centre = -ROTATION.T @ [1, 2, 3]
    lines = [f"{name} 50 {w} {x} {y} {z} {centre[0]} {centre[1]} {centre[2]} 0 0" for name in ("db/1.jpg", "db/2.jpg")]
    write(root / folder / "aachen_cvpr2018_db.nvm", "NVM_V3 \n\n2\n" + "\n".join(lines) + "\n\n0\n")

    def intrinsics(*names: str) -> str:
        size_of = {name: f"{sizes[name][0]} {sizes[name][1]}" for name in names}
        centre_of = {name: f"{sizes[name][0] // 2} {sizes[name][1] // 2}" for name in names}
        return "".join(f"{name} SIMPLE_RADIAL {size_of[name]} 50 {centre_of[name]} -0.1\n" for name in names)

    write(root / folder / "database_intrinsics.txt", intrinsics("db/1.jpg", "db/2.jpg"))
    write(root / "queries/day_time_queries_with_intrinsics.txt", intrinsics("query/day/d.jpg"))
    write(root / "queries/night_time_queries_with_intrinsics.txt", intrinsics("query/night/n.jpg"))
    return root


@pytest.mark.parametrize("folder", ["3D-models", "3D-models/aachen_v_1"])
def test_aachen_gives_reference_poses_and_split_queries(tmp_path, folder, caplog):
    root = aachen(tmp_path, folder)
    image(root / "images/images_upright/db/extra.jpg")
    dataset = prepare_dataset("aachen", "aachen", root)
    assert [(item.name, item.role, item.split) for item in dataset.images] == [
        ("db/1.jpg", "map", ""),
        ("db/2.jpg", "map", ""),
        ("query/day/d.jpg", "query", "day"),
        ("query/night/n.jpg", "query", "night"),
    ]
    assert dataset.reference_images == ("db/1.jpg", "db/2.jpg")
    assert dataset.pose_unit == "metre"
    assert set(dataset.poses) == {"db/1.jpg", "db/2.jpg"}
    np.testing.assert_allclose(dataset.poses["db/1.jpg"].rotation, ROTATION, atol=1e-9)
    np.testing.assert_allclose(dataset.poses["db/1.jpg"].translation, [1, 2, 3], atol=1e-9)
    assert dataset.images[1].camera.params == (50, 15, 20, -0.1)
    assert dataset.pairs_path == ""
    assert "CC BY-NC-SA" in dataset.licence
    assert "1 images are in no list and left out: db/extra.jpg" in caplog.text


def test_aachen_takes_query_poses_and_pairs_where_they_are(tmp_path):
    root = aachen(tmp_path)
    write(root / "cameras_gt.txt", gt_line("query/day/d.jpg") + gt_line("db/1.jpg", translation=(9, 9, 9)))
    write(root / "image_pairs_to_match.txt", "db/1.jpg db/2.jpg\n")
    dataset = prepare_dataset("demo", "aachen", root)
    assert set(dataset.poses) == {"db/1.jpg", "db/2.jpg", "query/day/d.jpg"}
    np.testing.assert_allclose(dataset.poses["db/1.jpg"].translation, [1, 2, 3], atol=1e-9)  # the reference model's
    assert dataset.reference_images == ("db/1.jpg", "db/2.jpg")
    assert dataset.pairs_path == str(root / "image_pairs_to_match.txt")


def test_aachen_names_everything_that_is_missing_and_where_it_comes_from(tmp_path):
    root = aachen(tmp_path)
    shutil.rmtree(root / "3D-models")
    (root / "queries/night_time_queries_with_intrinsics.txt").unlink()
    with pytest.raises(DataError) as caught:
        prepare_dataset("aachen", "aachen", root)
    for part in (
        "database_intrinsics.txt",
        "aachen_cvpr2018_db.nvm",
        "night_time_queries",
        "trigpoint data fetch aachen",
    ):
        assert part in str(caught.value)
    assert "day_time" not in str(caught.value)


def test_a_listed_image_without_a_file_is_unusable(tmp_path):
    root = aachen(tmp_path)
    (root / "images/images_upright/query/night/n.jpg").unlink()
    assert [name for name, _ in prepare_dataset("aachen", "aachen", root).unusable] == ["query/night/n.jpg"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("query/day/d.jpg 1 2 3", "MODEL"),
        ("query/day/d.jpg SIMPLE_RADIAL 40 30 50 20", "4 parameters"),
        ("query/day/d.jpg SIMPLE_RADIAL 40", "expected numbers"),
        ("query/day/d.jpg PINHOLE 40 30 0 50 20 15", "first positive"),
    ],
)
def test_damaged_intrinsics_are_refused_with_their_line(tmp_path, line, problem):
    root = aachen(tmp_path)
    write(root / "queries/day_time_queries_with_intrinsics.txt", line)
    with pytest.raises(DataError, match=rf"day_time_queries_with_intrinsics\.txt, line 1: .*{problem}"):
        prepare_dataset("aachen", "aachen", root)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "NVM_V3"),
        ("NVM_V3\n\nmany\n", "number of cameras"),
        ("NVM_V3\n\n2\na.jpg 50 1 0 0 0 1 2 3 0 0\n", "1 of 2 cameras"),
        ("NVM_V3\n\n1\na.jpg 50 0 0 0 0 1 2 3 0 0\n", "zero"),
        ("NVM_V3\n\n1\na.jpg 50 1 0 0 0 1 2\n", "a name and 10 numbers"),
    ],
)
def test_damaged_nvm_is_refused(tmp_path, text, problem):
    with pytest.raises(DataError, match=rf"db\.nvm.*{problem}"):
        read_nvm_poses(write(tmp_path / "db.nvm", text))


def test_nvm_tolerates_empty_lines_and_quoted_blanks(tmp_path):
    text = 'NVM_V3\n1\n\nmy"photo.jpg\t50 1 0 0 0 1 2 3 0 0\n\n7\n1 2 3 0 0 0 1 0 0 1 1\n'
    poses = read_nvm_poses(write(tmp_path / "db.nvm", text))
    assert poses["my photo.jpg"].translation.tolist() == [-1, -2, -3]


# ---- ETH local feature benchmark


def test_strecha_cameras_belong_to_images_of_their_stem(tmp_path):
    root = photos(tmp_path, ["0000.png", "0001.png"])
    rows = "\n".join(" ".join(repr(float(v)) for v in row) for row in ROTATION.T)
    text = f"50 0 20 \n0 51 15 \n0 0 1 \n0 0 0\n{rows}\n1 2 3 \n40 30\n"
    write(root / "gt_dense_cameras/0000.jpg.camera", text)
    dataset = prepare_dataset("eth_lfb_fountain", "eth_lfb", root)
    assert dataset.images[0].camera.params == (50, 51, 20, 15)
    assert dataset.images[1].camera is None
    np.testing.assert_allclose(dataset.poses["0000.png"].rotation, ROTATION)
    np.testing.assert_allclose(dataset.poses["0000.png"].center, [1, 2, 3])
    assert (dataset.pose_unit, dataset.reference_images) == ("metre", ())
    with pytest.raises(DataError, match=r"0000\.jpg\.camera, line 1: expected 26"):
        read_strecha_camera(write(root / "gt_dense_cameras/0000.jpg.camera", "1 2 3"))


def test_published_table_of_the_scene_comes_along(tmp_path):
    dataset = prepare_dataset("eth_lfb_herzjesu", "eth_lfb", photos(tmp_path))
    sift = next(row for row in dataset.published if row["method"] == "SIFT")
    assert (sift["registered"], sift["points3D"], sift["mean_reprojection_error_px"]) == (8, 7502, 0.432)
    assert {row["method"] for row in dataset.published} >= {"SIFT-PCA", "DSP-SIFT", "LIFT"}
    assert published_rows("nowhere") == ()


# ---- the command, and real photographs


def test_prepare_writes_a_dataset_that_reads_back(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    root = photos(tmp_path / "mine")
    write(root / "cameras_gt.txt", gt_line("a.jpg") + gt_line("b.jpg"))
    output = tmp_path / "work/dataset.json"
    arguments = ["prepare", "--dataset", "mine", "--layout", "photos", "--root", str(root), "--output", str(output)]
    settings = ["--settings", '{"code_version": 1, "pose_unit": "metre"}', "--strict", "--num-workers", "1"]
    assert main([*arguments, *settings]) == 0
    dataset = read_dataset(output)
    assert dataset.pose_unit == "metre"
    assert [item.name for item in dataset.images] == ["a.jpg", "b.jpg"]
    np.testing.assert_array_equal(dataset.poses["a.jpg"].rotation, ROTATION)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--settings", '{"split": 1}'], "unknown setting 'split'"),
        (["--settings", '{"pose_unit": "feet"}'], "'metre' or 'arbitrary'"),
        (["--num-workers", "0"], "must be positive"),
    ],
)
def test_prepare_refuses_wrong_options_in_one_line(tmp_path, capsys, options, problem):
    output = tmp_path / "dataset.json"
    arguments = ["prepare", "--dataset", "p", "--layout", "photos", "--root", str(photos(tmp_path / "p"))]
    assert main([*arguments, "--output", str(output), *options]) == 2
    assert problem in capsys.readouterr().err.strip().split("\n")[-1]
    assert not output.exists()


REAL = {
    "sacre_coeur": ("mapping", "cameras_gt.txt", 10, 10),
    "reichstag": ("images", "cameras_gt.txt", 10, 10),
    "sceaux_castle": ("images", None, 11, 0),
    "virtual_gallery": ("mapping/sensors/records_data", "mapping/cameras_gt.txt", 12, 12),
}


@pytest.mark.parametrize("name", REAL)
def test_real_photographs_run_without_special_treatment(tmp_path, shared, name):
    folder, cameras, num_images, num_poses = REAL[name]
    (tmp_path / "images").symlink_to(shared / "data" / name / folder)
    if cameras:
        (tmp_path / "cameras_gt.txt").symlink_to(shared / "data" / name / cameras)
    dataset = prepare_dataset(name, "photos", tmp_path, num_workers=2)
    assert (len(dataset.images), len(dataset.poses), dataset.unusable) == (num_images, num_poses, ())
    groups = {"sacre_coeur": 10, "reichstag": 10, "sceaux_castle": 1, "virtual_gallery": 2}
    assert len({item.camera_group for item in dataset.images}) == groups[name]


@pytest.mark.parametrize(("scene", "count"), [("Fountain", 11), ("Herzjesu", 8)])
def test_strecha_files_and_cameras_gt_agree(tmp_path, shared, scene, count):
    source = shared / "data/eth_lfb" / scene
    dataset = prepare_dataset(f"eth_lfb_{scene.lower()}", "eth_lfb", source, num_workers=2)
    (tmp_path / "images").symlink_to(source / "images")
    (tmp_path / "gt_dense_cameras").symlink_to(source / "gt_dense_cameras")
    published = prepare_dataset(f"eth_lfb_{scene.lower()}", "eth_lfb", tmp_path, num_workers=2)
    assert len(dataset.images) == len(dataset.poses) == count
    assert len(dataset.published) == 10
    for given, other in zip(dataset.images, published.images, strict=True):
        assert given.camera == other.camera
        np.testing.assert_allclose(dataset.poses[given.name].center, published.poses[given.name].center, atol=1e-9)
