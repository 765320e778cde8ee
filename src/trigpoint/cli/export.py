"""`trigpoint export`: write the features, matches and model of a run for another tool, into a new folder.

disk, imw, hloc, posfeat: coordinates as here, centre of the top-left pixel at (0, 0). colmap, kapture: half a pixel
is added, their corner of the top-left pixel is (0, 0). The files of each format, and what they cannot hold:
docs/exports.md.
"""

import argparse
import dataclasses
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from trigpoint.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from trigpoint.export.run_files import RunFiles

FORMATS = ("disk", "imw", "hloc", "colmap", "kapture", "posfeat")
_logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument(
        "--to",
        choices=FORMATS,
        required=True,
        help="format; the top-left pixel's centre is (0, 0) in all but colmap and kapture, where its corner is"
        " and half a pixel is added (docs/exports.md)",
    )
    parser.add_argument(
        "--run",
        dest="folder",
        type=Path,
        help="folder of a finished run, such as work/demo/disk: gives every file that is there",
    )
    parser.add_argument("--features", type=Path, help="features.h5, in place of the run's")
    parser.add_argument("--matches", type=Path, help="matches.h5, in place of the run's")
    parser.add_argument(
        "--dataset", type=Path, help="dataset.json, in place of the one beside the run; for colmap, kapture"
    )
    parser.add_argument("--model", type=Path, help="folder of a COLMAP model, in place of the run's")
    parser.add_argument("--database", type=Path, help="COLMAP database, in place of the run's; for colmap")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, must not exist")
    disk = parser.add_argument_group("of --to disk", "under the names of DISK's programs")
    disk.add_argument("--f16", action="store_true", help="half-precision descriptors")
    disk.add_argument("--u16", action="store_true", help="match indices as uint16; refused above 65536 keypoints")
    disk.add_argument("--save-threshold", type=int, default=0, help="leave out pairs of fewer matches")
    imw = parser.add_argument_group("of --to imw")
    imw.add_argument("--split", action="store_true", help="matches_multiview.h5 and matches_stereo.h5, not matches.h5")
    colmap = parser.add_argument_group("of --to colmap")
    colmap.add_argument("--model-format", choices=("bin", "txt"), default="bin", help="of the model's files")
    colmap.add_argument(
        "--legacy",
        action="store_true",
        help="the database of DISK's h5_to_db: no half pixel, guessed cameras, no model",
    )
    colmap.add_argument(
        "--camera-model",
        choices=("simple-pinhole", "pinhole", "simple-radial", "opencv"),
        default="simple-radial",
        help="of --legacy, as h5_to_db",
    )
    colmap.add_argument("--single-camera", action="store_true", help="of --legacy: the first image's camera for all")
    colmap.add_argument("--image-extension", default=".jpg", help="of --legacy: with the dot")
    kapture = parser.add_argument_group("of --to kapture")
    posfeat = parser.add_argument_group("of --to posfeat", "needs features only")
    posfeat.add_argument("--postfix", default="posfeat", help="ending of the files, without the dot")
    kapture.add_argument("--link-images", action="store_true", help="link sensors/records_data to the image folder")


def run(args: argparse.Namespace) -> None:
    """Find the files, call the format's writer."""
    if args.to == "posfeat":
        _export_feature_npz(args)
        return
    files = run_files(args)
    if args.to == "disk":
        from trigpoint.export.disk_h5 import export_disk

        export_disk(files, args.output, f16=args.f16, u16=args.u16, save_threshold=args.save_threshold)
    elif args.to == "imw":
        from trigpoint.export.imw import export_imw

        export_imw(files, args.output, match_files="split" if args.split else "all")
    elif args.to == "hloc":
        from trigpoint.export.hloc import export_hloc

        export_hloc(files, args.output)
    elif args.to == "kapture":
        from trigpoint.export.kapture import export_kapture

        export_kapture(files, args.output, link_images=args.link_images)
    elif args.legacy:
        _export_disk_database(files, args)
    else:
        _export_colmap(files, args)
    _logger.info("%s files written to %s", args.to, args.output)


def run_files(args: argparse.Namespace) -> "RunFiles":
    """The files named one by one, else those of the run's folder.

    Raises:
        SettingsError: neither a run nor features and matches.
        StorageError: a file is missing.
    """
    from trigpoint.export.run_files import RunFiles
    from trigpoint.storage.dataset import read_dataset

    features = args.features or _of_run(args.folder, "features.h5")
    matches = args.matches or _of_run(args.folder, "matches.h5")
    if features is None or matches is None:
        name = "features" if features is None else "matches"
        where = f"{args.folder}: holds no {name}.h5" if args.folder else f"neither --run nor --{name} is given"
        raise SettingsError(f"{where}; name the file with --{name}")
    dataset = args.dataset or (_of_run(args.folder.resolve().parent, "dataset.json") if args.folder else None)
    return RunFiles(
        features=features,
        matches=matches,
        dataset=None if dataset is None else read_dataset(dataset),
        model=args.model or _of_run(args.folder, "model"),
        database=args.database or _of_run(args.folder, "database.db"),
    )


def _of_run(folder: Path | None, name: str) -> Path | None:
    return folder / name if folder is not None and (folder / name).exists() else None


def _export_feature_npz(args: argparse.Namespace) -> None:
    from trigpoint.export.feature_npz import export_feature_npz

    features = args.features or _of_run(args.folder, "features.h5")
    if features is None:
        raise SettingsError("--to posfeat: give --run, a folder with features.h5, or --features")
    export_feature_npz(features, args.output, args.postfix)
    _logger.info("posfeat files written to %s", args.output)


def _export_colmap(files: "RunFiles", args: argparse.Namespace) -> None:
    """`database.db`, the run's own or one made of its features and matches, and `sparse/0` if there is a model."""
    from trigpoint.export.colmap import write_model
    from trigpoint.export.run_files import new_folder
    from trigpoint.storage.colmap import require_database

    with new_folder(args.output) as folder:
        if files.database is not None:
            require_database(files.database, "trigpoint verify-pairs")
            shutil.copyfile(files.database, folder / "database.db")
        else:
            _import_database(files, folder / "database.db")
        if files.model is not None:
            (folder / "sparse" / "0").mkdir(parents=True)
            write_model(files.model, folder / "sparse" / "0", args.model_format)


def _import_database(files: "RunFiles", output: Path) -> None:
    from trigpoint.mapping.database import import_database
    from trigpoint.mapping.settings import ImportSettings
    from trigpoint.storage.matches import MatchReader

    if files.dataset is None:
        raise SettingsError("a COLMAP database needs cameras: give --database, or --dataset dataset.json")
    map_images = files.dataset.with_role("map")
    names = {image.name for image in map_images}
    with MatchReader(files.matches) as matches:
        pairs = [pair for pair in matches.pairs() if names.issuperset(pair)]
    given = all(image.camera is not None for image in map_images)
    _logger.info("no database: %d pairs imported, intrinsics %s", len(pairs), "given" if given else "estimated")
    settings = ImportSettings(intrinsics="given" if given else "estimate")
    import_database(files.dataset, files.features, files.matches, pairs, output, settings)


def _export_disk_database(files: "RunFiles", args: argparse.Namespace) -> None:
    import tempfile

    from trigpoint.export.colmap import DiskDatabaseSettings, disk_database
    from trigpoint.export.disk_h5 import export_disk
    from trigpoint.export.run_files import new_folder

    if files.dataset is None:
        raise StorageError("--legacy guesses cameras from the images' sizes: give --dataset dataset.json")
    settings = DiskDatabaseSettings(
        **{item.name: getattr(args, item.name) for item in dataclasses.fields(DiskDatabaseSettings)}
    )
    with tempfile.TemporaryDirectory(prefix="trigpoint-export-") as temporary, new_folder(args.output) as folder:
        export_disk(files, Path(temporary) / "disk")
        disk_database(Path(temporary) / "disk", files.dataset, folder / "database.db", settings)
