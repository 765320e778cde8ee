"""Every kind of photograph ends as upright 8-bit RGB or as one clear line, and is only read."""

import hashlib
import io
import os
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ExifTags

from trigpoint.datasets.images import check_image, load_image, read_header, reduced_size
from trigpoint.datasets.tree import dataset_tree_digest, image_path, image_tree_digest, list_images
from trigpoint.errors import DataError, ImageError

RED, WHITE = (200, 30, 40), (255, 255, 255)


def save(path: Path, image: PIL.Image.Image, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def corner_image() -> PIL.Image.Image:
    """40 x 24 px, black but for a red block in the top left corner."""
    image = PIL.Image.new("RGB", (40, 24))
    image.paste(RED, (0, 0, 8, 8))
    return image


def test_list_finds_images_at_any_depth_sorted_and_nothing_else(tmp_path):
    for name in [
        "b.JPG",
        "a.png",
        "sub/deep er/é.Tiff",
        "sub/x.jpeg",
        ".hidden.jpg",
        ".dir/y.jpg",
        "K.txt",
        "z.jpg.camera",
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list_images(tmp_path) == ["a.png", "b.JPG", "sub/deep er/é.Tiff", "sub/x.jpeg"]


def test_list_survives_link_loops_and_follows_linked_folders(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"x")
    root = tmp_path / "images"
    root.mkdir()
    (root / "linked").symlink_to(photos)
    (root / "loop").symlink_to(root)
    (photos / "back").symlink_to(root)
    (root / "self").symlink_to("self")
    assert list_images(root) == ["linked/a.jpg"]


def test_listing_a_missing_folder_names_it(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        list_images(tmp_path / "nowhere")


def test_tree_digest_changes_with_name_size_and_time_only(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    first = image_tree_digest(tmp_path)
    (tmp_path / "notes.md").write_text("neither image nor calibration")
    assert image_tree_digest(tmp_path) == first
    (tmp_path / "cameras_gt.txt").write_text("")
    assert image_tree_digest(tmp_path) != first
    assert dataset_tree_digest(tmp_path) == image_tree_digest(tmp_path)
    assert dataset_tree_digest(tmp_path / "not fetched yet") == ""
    (tmp_path / "cameras_gt.txt").unlink()
    os.utime(path, ns=(0, 5))
    second = image_tree_digest(tmp_path)
    path.rename(tmp_path / "b.jpg")
    third = image_tree_digest(tmp_path)
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "missing")
    assert len({first, second, third, image_tree_digest(tmp_path)}) == 4


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "a/../b.jpg", "a//b.jpg", "./a.jpg", "", "a\0.jpg"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(ImageError, match="no name below"):
        image_path(tmp_path, name)


def test_dots_inside_a_name_are_fine(tmp_path):
    save(tmp_path / "a..b 1.jpg", corner_image())
    assert load_image(tmp_path, "a..b 1.jpg").size == (40, 24)


MODES = {
    "L": (PIL.Image.new("L", (20, 10), 77), (77, 77, 77)),
    "1": (PIL.Image.new("1", (20, 10), 1), WHITE),
    "P": (PIL.Image.new("RGB", (20, 10), RED).quantize(4), RED),
    "RGBA": (PIL.Image.new("RGBA", (20, 10), (*RED, 255)), RED),
    "transparent": (PIL.Image.new("RGBA", (20, 10), (*RED, 0)), WHITE),
    "LA": (PIL.Image.new("LA", (20, 10), (0, 0)), WHITE),
}


@pytest.mark.parametrize("mode", MODES)
def test_png_modes_become_rgb(tmp_path, mode):
    image, colour = MODES[mode]
    save(tmp_path / "a.png", image)
    loaded = load_image(tmp_path, "a.png")
    assert loaded.pixels.shape == (10, 20, 3)
    assert loaded.pixels.dtype == np.uint8
    assert (loaded.pixels == colour).all()


def test_transparent_palette_colour_lies_over_white(tmp_path):
    save(tmp_path / "a.png", PIL.Image.new("RGB", (20, 10), RED).quantize(4), transparency=0)
    assert (load_image(tmp_path, "a.png").pixels == 255).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_is_scaled_by_its_full_range(tmp_path, suffix):
    values = np.array([[0, 257, 128 * 257, 65535]] * 16, dtype=np.uint16)
    save(tmp_path / f"a.{suffix}", PIL.Image.fromarray(values))
    assert load_image(tmp_path, f"a.{suffix}").pixels[0, :, 1].tolist() == [0, 1, 128, 255]


def test_16_bit_colour_keeps_its_high_byte(tmp_path):
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), (10 * 257, 100 * 257, 200 * 257), np.uint16))
    assert load_image(tmp_path, "a.png").pixels[0, 0].tolist() == [200, 100, 10]


def test_float_pixels_between_0_and_1_and_no_others(tmp_path):
    save(tmp_path / "a.tif", PIL.Image.fromarray(np.full((4, 4), 0.5, np.float32)))
    save(tmp_path / "b.tif", PIL.Image.fromarray(np.full((4, 4), 7.5, np.float32)))
    assert (load_image(tmp_path, "a.tif").pixels == 128).all()
    with pytest.raises(ImageError, match=r"b\.tif.*no known white"):
        load_image(tmp_path, "b.tif")


def test_cmyk_becomes_rgb(tmp_path):
    save(tmp_path / "a.jpg", PIL.Image.new("RGB", (32, 32), RED).convert("CMYK"), quality=100)
    assert np.abs(load_image(tmp_path, "a.jpg").pixels.astype(int) - RED).max() < 12


def test_first_frame_of_an_animation_counts(tmp_path):
    frames = [PIL.Image.new("RGB", (9, 9), colour) for colour in (RED, (0, 0, 255))]
    save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    save(tmp_path / "a.tif", frames[0], save_all=True, append_images=frames[1:])
    for name in ("a.gif", "a.tif"):
        assert (load_image(tmp_path, name).pixels == RED).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(tmp_path, suffix, orientation):
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:8, :8] = RED
    # the stored array is what a viewer that applies the tag turns into `upright`
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = PIL.Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = PIL.Image.fromarray(np.ascontiguousarray(stored))
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    path = save(tmp_path / f"a.{suffix}", image, exif=exif, **options)
    loaded = load_image(tmp_path, path.name)
    assert loaded.size == read_header(path).size == check_image(tmp_path, path.name).size == (40, 24)
    assert np.abs(loaded.pixels.astype(int) - upright).max() < 40


def test_focal_length_is_found_in_the_exif_sub_directory(tmp_path):
    exif = PIL.Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "ACME ", "Box 1"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 28
    path = save(tmp_path / "a.jpg", PIL.Image.new("RGB", (160, 120)), exif=exif)
    header = check_image(tmp_path, "a.jpg")
    assert header == read_header(path)
    assert (header.focal_35mm, header.focal_px, header.camera) == (28.0, 128.0, "ACME Box 1")


def test_without_exif_nothing_is_guessed(tmp_path):
    header = read_header(save(tmp_path / "a.png", corner_image()))
    assert (header.focal_35mm, header.focal_mm, header.focal_px, header.camera) == (None, None, None, "")


def damaged(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, "PNG" if kind.endswith("png") else "JPEG")
    data = buffer.getvalue()
    return {
        "empty": b"",
        "text": b"not an image at all",
        "header only": data[:20],
        "truncated": data[: len(data) // 2],
        "truncated png": data[: len(data) // 2],
        "flipped png": data[:200] + bytes(255 - b for b in data[200:400]) + data[400:],
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "header only", "truncated", "truncated png", "flipped png"])
def test_damaged_files_are_refused_in_one_line_that_names_them(tmp_path, kind):
    name = "ph oto.png" if kind.endswith("png") else "ph oto.jpg"
    (tmp_path / name).write_bytes(damaged(kind))
    for reader in (load_image, check_image):
        with pytest.raises(ImageError, match=f"{name}: .*; .*") as caught:
            reader(tmp_path, name)
        assert "\n" not in str(caught.value)


def test_missing_dangling_folder_and_heic_are_named(tmp_path):
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    for name in ("missing.jpg", "dangling.jpg", "folder.jpg"):
        with pytest.raises(ImageError, match=f"{name}: cannot be read"):
            load_image(tmp_path, name)
    with pytest.raises(ImageError, match="convert it"):
        load_image(tmp_path, "phone.HEIC")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_large_images_are_decoded_at_reduced_size_and_said(tmp_path, caplog, suffix):
    image = PIL.Image.new("RGB", (20_000, 101))
    image.paste(RED, (10_000, 0, 20_000, 101))
    save(tmp_path / f"a.{suffix}", image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_image(tmp_path, f"a.{suffix}")
    assert loaded.size == (20_000, 101)
    assert loaded.pixels.shape == (82, 16_384, 3)
    middle = loaded.pixels[40, :, 0].astype(int)
    assert middle[8_189] < 60  # the edge is where the scale of the sizes puts it
    assert middle[8_194] > 140
    assert "decoded at reduced size 16384x82" in caplog.text


def test_reduction_maps_pixels_by_the_ratio_of_sizes(tmp_path):
    # 1003 is no multiple of JPEG's reduction by 8: the last of its columns stands for 3 pixels
    ramp = np.tile(np.linspace(0, 255, 1003), (1003, 1)).astype(np.uint8)
    save(tmp_path / "a.jpg", PIL.Image.fromarray(ramp), quality=100)
    loaded = load_image(tmp_path, "a.jpg", max_pixels=100 * 100)
    width = loaded.pixels.shape[1]
    expected = ((np.arange(width) + 0.5) * (1003 / width) - 0.5) * (255 / 1002)
    assert np.abs(loaded.pixels[50, 2:-2, 0] - expected[2:-2]).max() < 1.6


def test_reduction_keeps_the_kind_of_image(tmp_path):
    values = np.full((300, 300), 40_000, np.uint16)
    save(tmp_path / "deep.png", PIL.Image.fromarray(values))
    save(tmp_path / "palette.png", PIL.Image.new("RGB", (300, 300), RED).quantize(4))
    save(tmp_path / "alpha.png", PIL.Image.new("RGBA", (300, 300), (*RED, 0)))
    for name, colour in {"deep.png": (156, 156, 156), "palette.png": RED, "alpha.png": WHITE}.items():
        loaded = load_image(tmp_path, name, max_pixels=10_000)
        assert loaded.pixels.shape == (100, 100, 3)
        assert (loaded.pixels == colour).all()


def test_more_pixels_than_a_decoder_may_fill_are_refused(tmp_path, monkeypatch):
    save(tmp_path / "a.png", PIL.Image.new("1", (2_000, 500)))
    monkeypatch.setattr("trigpoint.datasets.images.MAX_DECODER_PIXELS", 900_000)
    with pytest.raises(ImageError, match=r"a\.png: 2000x500 px is more than"):
        load_image(tmp_path, "a.png")


def test_pillows_own_limit_is_lifted_while_reading_and_restored(tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    exif = PIL.Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for suffix in ("jpg", "tif", "png"):
        save(tmp_path / f"a.{suffix}", corner_image(), exif=exif)
        assert load_image(tmp_path, f"a.{suffix}").size == check_image(tmp_path, f"a.{suffix}").size == (24, 40)
    assert PIL.Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "gif", "bmp", "ppm", "jp2", "avif"])
def test_whatever_bytes_are_damaged_the_image_is_read_or_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    data = save(tmp_path / f"a.{suffix}", PIL.Image.fromarray(noise)).read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(30):
        broken = np.frombuffer(data, np.uint8).copy()
        places = rng.integers(0, min(len(data), rng.choice([64, 300, len(data)])), rng.choice([1, 5, 30]))
        broken[places] = rng.integers(0, 256, len(places))
        (tmp_path / f"a.{suffix}").write_bytes(broken[: rng.integers(1, len(data) + 1)].tobytes())
        try:
            load_image(tmp_path, f"a.{suffix}")
        except ImageError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize(
    ("size", "most", "expected"), [((10, 10), 100, (10, 10)), ((100, 50), 50, (10, 5)), ((9, 1), 1, (3, 1))]
)
def test_reduced_size(size, most, expected):
    assert reduced_size(size, most) == expected


def test_one_pixel_is_an_image(tmp_path):
    save(tmp_path / "a.png", PIL.Image.new("RGB", (1, 1), RED))
    assert load_image(tmp_path, "a.png").pixels.tolist() == [[list(RED)]]


def test_files_are_only_read(tmp_path):
    path = save(tmp_path / "a.jpg", corner_image())
    os.utime(path, ns=(10**18, 10**18))
    before = path.read_bytes()
    loaded = load_image(tmp_path, "a.jpg")
    check_image(tmp_path, "a.jpg")
    assert path.read_bytes() == before
    assert path.stat().st_mtime_ns == 10**18
    assert loaded.digest == hashlib.sha256(before).hexdigest()
    assert loaded.name == "a.jpg"
