"""Stands in for the package of this name, with the part of its interface that the adapter uses (version 1.4).

The one matcher compares normalised patches on a grid, and is as particular about its input as the real ones are.
`sift-lightglue` wants a package that is not there.
"""

import torch
from torch.nn.functional import normalize, unfold

__version__ = "1.4.0"
available_models = ["sift-lightglue", "patches", "no-scores"]
STEP = 4  # px between places
PATCH = 8


class Patches(torch.nn.Module):
    def __init__(self, max_num_keypoints: int, with_scores: bool) -> None:
        super().__init__()
        self.max_num_keypoints, self.with_scores = max_num_keypoints, with_scores

    @torch.inference_mode()
    def forward(self, img0: torch.Tensor, img1: torch.Tensor) -> dict[str, object]:
        places, patches = zip(*(self._describe(image) for image in (img0, img1)), strict=True)
        similarity = patches[0].T @ patches[1]
        best, index1 = similarity.max(dim=1)
        mutual = similarity.argmax(dim=0)[index1] == torch.arange(len(index1))
        index0 = torch.nonzero(mutual)[:, 0]
        index0 = index0[torch.argsort(-best[index0], stable=True)][: self.max_num_keypoints]
        xy0, xy1 = places[0][index0], places[1][index1[index0]]
        xy0[0] = float("nan")  # as matchers do that divide by the weight of a window without any
        return {
            "matched_kpts0": xy0.numpy(),
            "matched_kpts1": xy1.numpy(),
            "matched_confidences": best[index0].numpy() if self.with_scores else None,
            "num_inliers": 0,
            "H": None,
        }

    def _describe(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert image.ndim == 3 and image.shape[0] == 3 and image.dtype == torch.float32
        assert image.min() >= 0 and image.max() <= 1
        assert image.min() < image.max()  # without features OpenCV's matcher raises
        patches = unfold(image[None].mean(dim=1, keepdim=True), PATCH, stride=STEP)[0]
        rows, columns = ((side - PATCH) // STEP + 1 for side in image.shape[1:])
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        places = torch.stack([x, y], dim=-1).reshape(-1, 2).float() * STEP + PATCH / 2 - 0.5
        return places, normalize(patches - patches.mean(dim=0), dim=0)


def get_matcher(
    matcher_name: str = "sift-lightglue", device: str = "cpu", max_num_keypoints: int = 2048
) -> torch.nn.Module:
    if matcher_name == "sift-lightglue":
        import a_package_that_is_not_there  # noqa: F401
    if matcher_name not in available_models:
        raise RuntimeError(f"Matcher {matcher_name} not yet supported")
    return Patches(max_num_keypoints, matcher_name == "patches").to(device)
