"""Named settings for `pretrain`, each value with its source: presets and augmentations.

Data only: `setting_sources.py` applies them, and docs/presets.md shows them (a test compares).
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

PresetName = Literal[
    "simclr-v1-imagenet", "simclr-v2-imagenet", "cifar10", "small-images", "small-cpu"
]
AugmentName = Literal["photos", "aerial", "medical-gray", "documents"]

_V1 = "arXiv 2002.05709"
_V2 = "arXiv 2006.10029"
_README = "release, tf2/README.md"
_RUN = "release, tf2/run.py"
_OURS = "README, CIFAR-10"
_RECIPES = "benchmarks/recipes.md"
_MOCO_V2 = "MoCo v2, arXiv 2003.04297"
_AZIZI = "Azizi et al. 2021, arXiv 2101.05224"
_MOCO_CXR = "MoCo-CXR, arXiv 2010.05352"
_CHOICE = "our choice, not measured"


@dataclasses.dataclass(frozen=True)
class NamedSettings:
    """Settings under a name.

    Attributes:
        name: What `preset` or `augment` is set to.
        summary: One line.
        notes: For a preset, the devices, memory and time it needs, and what to change for less.
        sourced: setting -> (value, the table, section or page it comes from, or the reason).
    """

    name: str
    summary: str
    notes: str
    sourced: Mapping[str, tuple[object, str]]

    @property
    def settings(self) -> dict[str, object]:
        """The values alone."""
        return {name: value for name, (value, _) in self.sourced.items()}


_PAPER_VIEWS = {
    "crop_area_min": (0.08, f"{_V1}, Appendix A"),
    "color_jitter_strength": (1.0, f"{_V1}, Appendix A"),
    "saturation_jitter": (0.8, f"{_V1}, Appendix A"),
    "hue_jitter": (0.2, f"{_V1}, Appendix A"),
    "grayscale_probability": (0.2, f"{_V1}, Appendix A"),
    "blur": (True, f"{_V1}, Appendix A"),
    "flip": (True, f"{_V1}, Appendix A"),
}

PRESETS = {
    preset.name: preset
    for preset in (
        NamedSettings(
            "simclr-v1-imagenet",
            "SimCLR v1 on ImageNet: ResNet-50, 100 epochs (64.5 % linear).",
            "The release trained a batch of 4,096 on 32 TPU v3s, 100 epochs in about 6 hours (its "
            "README). On one GPU, override `batch_size`, for example with 256: the base "
            "learning rate is scaled for it, and Table B.1 has 62.8 % for that batch. "
            "`micro_batch_size` trades time for memory. For the paper's 1,000 epochs (69.3 %) "
            "set `epochs=1000` and `warmup_fraction=0.01`.",
            {
                "dataset": ("imagenet2012", f"{_V1}, Section 2.3"),
                "encoder": ("simclr_resnet50", f"{_V1}, Section 2.3"),
                "projection_layers": (2, f"{_V1}, Section 2.3"),
                "projection_dim": (128, f"{_V1}, Section 2.3"),
                "image_size": (224, f"{_V1}, Appendix A"),
                **_PAPER_VIEWS,
                "batch_size": (4096, f"{_V1}, Section 2.3"),
                "epochs": (100, f"{_V1}, Section 2.3"),
                "optimizer": ("lars", f"{_V1}, Section 2.3"),
                "base_learning_rate": (
                    0.075,
                    f"{_V1}, Appendix B.1; {_README}. Peak 4.8, as with Section 2.3's linear "
                    "rule; better for smaller batches (Table B.1)",
                ),
                "learning_rate_scaling": ("sqrt", f"{_V1}, Appendix B.1; {_README}"),
                "weight_decay": (1e-6, f"{_V1}, Section 2.3 (1e-4 in {_README})"),
                "warmup_fraction": (0.1, f"{_V1}, Section 2.3: 10 of 100 epochs"),
                "temperature": (0.1, f"{_V1}, Table 5; {_RUN}, default"),
            },
        ),
        NamedSettings(
            "simclr-v2-imagenet",
            "SimCLR v2 on ImageNet: ResNet-50 with selective kernels, 800 epochs.",
            "The paper trained a batch of 4,096 on 128 Cloud TPUs (Section 3.1), with a memory of "
            "negatives that was never released and is not used here; the authors give 71.1 % "
            "without it for the plain ResNet-50 (google-research/simclr, issue 77). On one GPU, "
            "override `batch_size`: the base learning rate is scaled for it. The paper's largest "
            "network is `encoder=simclr_resnet152` with `width_multiplier=3` (795 million "
            "parameters).",
            {
                "dataset": ("imagenet2012", f"{_V2}, Section 3.1"),
                "encoder": ("simclr_resnet50", f"{_V2}, Table 1"),
                "selective_kernel": (True, f"{_V2}, Section 2 and Table 1"),
                "projection_layers": (3, f"{_V2}, Section 3.1"),
                "projection_dim": (128, f"{_RUN}, default"),
                "image_size": (224, f"{_RUN}, default"),
                **{
                    name: (value, f"{_V2}, Section 3.1: those of v1 ({source})")
                    for name, (value, source) in _PAPER_VIEWS.items()
                },
                "batch_size": (4096, f"{_V2}, Section 3.1"),
                "epochs": (800, f"{_V2}, Section 3.1"),
                "optimizer": ("lars", f"{_V2}, Section 3.1"),
                "base_learning_rate": (0.1, f"{_V2}, Section 3.1: peak 6.4"),
                "learning_rate_scaling": ("sqrt", f"{_V2}, Section 3.1"),
                "weight_decay": (1e-4, f"{_V2}, Section 3.1"),
                "warmup_fraction": (0.05, f"{_V2}, Section 3.1"),
                "temperature": (0.1, f"{_RUN}, default"),
            },
        ),
        NamedSettings(
            "cifar10",
            "The release's CIFAR-10 command: ResNet-18, 1,000 epochs (about 91 % linear).",
            "One GPU with about 5 GB (Lightly's CIFAR-10 benchmark, same network and batch); a user "
            "of the release reports 4 to 5 hours (google-research/simclr, issue 92). For a shorter "
            "run set `epochs` and keep 10 epochs of warm-up, for example `epochs=100` with "
            "`warmup_fraction=0.1`. The paper's own CIFAR-10 study (Appendix B.9) reaches 94.0 % "
            "with ResNet-50 and a batch of 1,024.",
            {
                "dataset": ("cifar10", _README),
                "encoder": ("simclr_resnet18", _README),
                "small_image_stem": (
                    True,
                    f"{_V1}, Appendix B.9; the release does so up to 32 px",
                ),
                "projection_layers": (3, f"{_RUN}, default"),
                "projection_dim": (128, f"{_RUN}, default"),
                "image_size": (32, _README),
                **_PAPER_VIEWS,
                "color_jitter_strength": (0.5, f"{_README}; {_V1}, Appendix B.9"),
                "blur": (False, f"{_README}; {_V1}, Appendix B.9"),
                "batch_size": (512, _README),
                "epochs": (1000, _README),
                "optimizer": ("lars", f"{_RUN}, default"),
                "base_learning_rate": (
                    1.0,
                    f"{_README}; {_RUN}: per 256 images, so the peak is 2.0",
                ),
                "learning_rate_scaling": ("linear", f"{_RUN}, default"),
                "weight_decay": (1e-4, f"{_README} (1e-6 in its first version)"),
                "warmup_fraction": (0.01, f"{_RUN}, default: 10 epochs"),
                "temperature": (0.5, f"{_README}; {_V1}, Appendix B.9"),
            },
        ),
        NamedSettings(
            "small-images",
            "Images of about 32 pixels in minutes: the recipe measured on CIFAR-10 in the README.",
            "Two CPU cores and about ten minutes on CIFAR-10 (README: 54.8 % kNN, 58.6 % linear). "
            "`small-cpu` reaches far more in the same minutes.",
            {
                "encoder": ("simclr_resnet18", _OURS),
                "width_multiplier": (0.25, _OURS),
                "small_image_stem": (True, _OURS),
                "image_size": (32, _OURS),
                "crop_area_min": (0.2, _OURS),
                "color_jitter_strength": (0.5, _OURS),
                "blur": (False, _OURS),
                "batch_size": (256, _OURS),
                "steps": (1200, _OURS),
                "optimizer": ("adamw", _OURS),
                "learning_rate": (4e-3, _OURS),
                "warmup_fraction": (0.05, _OURS),
                "temperature": (0.2, _OURS),
            },
        ),
        NamedSettings(
            "small-cpu",
            "Images of about 32 pixels on a processor: the most accuracy in the same minutes.",
            "Two CPU cores and a quarter of an hour; `minutes` sets the time (24 minutes on CIFAR-10: "
            "82.0 % linear, README). A shallow network, four views of each image and Muon: see "
            "benchmarks/recipes.md for what each is worth. Half precision where the processor computes "
            "faster in it. For images of another `image_size`, set an `image_size_schedule` that ends "
            "with it, or train on one size.",
            {
                "encoder": ("airbench", _RECIPES),
                "width_multiplier": (0.5, _RECIPES),
                "projection_hidden_dim": (256, _RECIPES),
                "image_size": (32, _RECIPES),
                "image_size_schedule": ("24@0,32@0.6", _RECIPES),
                "views": (4, _RECIPES),
                "crop_area_min": (0.2, _OURS),
                "color_jitter_strength": (0.5, _OURS),
                "grayscale_probability": (0.1, _RECIPES),
                "solarize_probability": (0.1, _RECIPES),
                "blur": (False, _OURS),
                "batch_size": (128, _RECIPES),
                "minutes": (15, _CHOICE),
                "optimizer": ("muon", _RECIPES),
                "learning_rate": (4e-3, _RECIPES),
                "weight_decay": (0.2, _RECIPES),
                "warmup_fraction": (0.05, _OURS),
                "temperature": (0.2, _OURS),
                "mixed_precision": ("auto", "chosen from what the processor can do"),
            },
        ),
    )
}

AUGMENTATIONS = {
    augmentation.name: augmentation
    for augmentation in (
        NamedSettings(
            "photos",
            "Photos of things and scenes: the paper's augmentations, which are the defaults.",
            "For images of about 32 pixels the paper leaves out the blur and halves the colour "
            "jitter: `blur=False`, `color_jitter_strength=0.5` (Appendix B.9).",
            {
                **_PAPER_VIEWS,
                "vertical_flip": (False, f"{_V1}, Appendix A: photos have an up"),
                "quarter_turns": (False, f"{_V1}, Appendix A: photos have an up"),
                "solarize_probability": (0.0, f"{_V1}, Appendix A: none"),
            },
        ),
        NamedSettings(
            "aerial",
            "Images from above: satellites, aircraft and drones; micrographs too.",
            "All eight symmetries of a square are as likely. Blur stays as it is. For stained "
            "tissue, where the hue is a marker, try `hue_jitter=0.05`.",
            {
                "crop_area_min": (0.2, f"{_MOCO_V2}, its code"),
                "color_jitter_strength": (
                    0.5,
                    f"{_MOCO_V2}, its code: 0.4, 0.4, 0.4, 0.1, half of the paper's; colour tells "
                    "land cover",
                ),
                "saturation_jitter": (0.8, f"{_MOCO_V2}, its code (times the strength)"),
                "hue_jitter": (0.2, f"{_MOCO_V2}, its code (times the strength)"),
                "grayscale_probability": (0.2, f"{_MOCO_V2}, its code"),
                "flip": (True, "there is no left and right from above"),
                "vertical_flip": (
                    True,
                    "there is no up; recommended for satellite images in Lightly's documentation",
                ),
                "quarter_turns": (
                    True,
                    "there is no up; Albumentations' guide: SquareSymmetry for aerial images",
                ),
                "solarize_probability": (0.0, _CHOICE),
            },
        ),
        NamedSettings(
            "medical-gray",
            "Gray medical images: X-ray, CT, MRI, ultrasound; one channel or three equal ones.",
            "If left and right matter, as for the heart in a chest X-ray, set `flip=False`. The "
            "two sources also turn images by up to 45 and 10 degrees; see docs/views.md for how "
            "to add that.",
            {
                "crop_area_min": (
                    0.3,
                    f"{_CHOICE}: small crops may leave out what is diseased ({_MOCO_CXR})",
                ),
                "color_jitter_strength": (0.5, f"{_AZIZI}, chest X-rays"),
                "saturation_jitter": (0.0, "gray images have no saturation"),
                "hue_jitter": (0.0, "gray images have no hue"),
                "grayscale_probability": (0.0, "gray images stay as they are"),
                "blur": (
                    False,
                    f"{_AZIZI}: it may hide the texture that a diagnosis needs; {_MOCO_CXR}",
                ),
                "flip": (True, f"{_AZIZI}; {_MOCO_CXR}"),
                "vertical_flip": (False, "patients are not upside down"),
                "quarter_turns": (False, "patients are not upside down"),
                "solarize_probability": (0.0, _CHOICE),
            },
        ),
        NamedSettings(
            "documents",
            "Scanned pages, forms, receipts and screenshots.",
            "Blur stays as it is. If the colours of a form matter, set `grayscale_probability=0`.",
            {
                "crop_area_min": (
                    0.4,
                    f"{_CHOICE}: small patches say little about a page (Cosma et al. 2020, "
                    "arXiv 2004.10605)",
                ),
                "color_jitter_strength": (
                    0.5,
                    f"{_CHOICE}: ink must stay legible on its paper",
                ),
                "saturation_jitter": (0.8, f"{_V1}, Appendix A (times the strength)"),
                "hue_jitter": (0.2, f"{_V1}, Appendix A (times the strength)"),
                "grayscale_probability": (0.2, f"{_V1}, Appendix A"),
                "flip": (False, "mirrored text is not text"),
                "vertical_flip": (False, "text upside down is not text"),
                "quarter_turns": (False, "pages are scanned upright"),
                "solarize_probability": (0.0, f"{_CHOICE}: it would turn paper into ink"),
            },
        ),
    )
}
