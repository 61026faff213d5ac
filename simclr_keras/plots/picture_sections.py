"""What the views, draws, neighbours and features of a run look like, from `draw_pictures`."""

from collections.abc import Mapping

from ..html_page import escaped
from .histogram import histogram, share_bars
from .run_facts import RunFacts
from .scatter import scatter
from .svg import percent_text

PICTURE_STYLE = """
.strip { display: grid; gap: 6px; grid-auto-flow: column; grid-auto-columns: minmax(64px, 96px);
  justify-content: start; }
.pair { display: grid; gap: 4px; margin: 0; }
.pair img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 4px; display: block;
  background: var(--shade); }
.pair img:first-child { margin-bottom: 6px; }
img.small { image-rendering: pixelated; }
.near { display: flex; gap: .4rem; margin: 0 0 .6rem; overflow-x: auto; padding-bottom: .2rem; }
.near figure { margin: 0; flex: 0 0 76px; font-size: 11px; line-height: 1.25; }
.near img { width: 76px; height: 76px; display: block; border-radius: 4px; object-fit: cover;
  border: 3px solid var(--line); }
.near figure:first-child { margin-right: .8rem; }
.near figure:first-child img { border-color: var(--accent); }
.near .same img { border-color: var(--good); } .near .other img { border-color: var(--bad); }
.near figcaption { overflow-wrap: anywhere; }
"""
_WORDS = {
    "crop area (redrawn if too large)": (
        "Area of a crop",
        "The share of the image that a crop covers. A crop that does not fit into the image is drawn "
        "again, so large ones are rarer than intended; sides are whole pixels.",
    ),
    "log of crop aspect": (
        "Shape of a crop",
        "The logarithm of width / height: 0 is square. A crop that does not fit is drawn again.",
    ),
    "place from top": ("Place of a crop from the top", "0 is the top edge, 1 the bottom edge."),
    "place from left": (
        "Place of a crop from the left",
        "0 is the left edge, 1 the right edge.",
    ),
    "brightness": ("Brightness", "The factor of all values: 1 changes nothing."),
    "contrast": ("Contrast", "The factor of the distance from the mean: 1 changes nothing."),
    "saturation": (
        "Saturation",
        "The factor of the colourfulness: 1 changes nothing, 0 is gray.",
    ),
    "hue": (
        "Hue",
        "The turn of the colour circle: 0 changes nothing, 0.5 is the opposite colour.",
    ),
    "order": (
        "Order of the colour changes",
        "Which of the 24 orders of brightness, contrast, saturation and hue: all as likely.",
    ),
    "sigma": ("Blur", "The standard deviation of the Gaussian blur, in pixels."),
}
_SHARES = {
    "flip": "mirrors left to right",
    "vertical\nflip": "mirrors top to bottom",
    "turn": "turns by 90, 180 or 270 degrees",
    "jitter": "changes brightness, contrast, saturation and hue",
    "gray": "takes the colour away",
    "blur": "blurs",
    "solarize": "inverts the bright half of the values",
}


def views_section(facts: RunFacts) -> str:
    """Images above their views, as the first step was trained on."""
    if not (found := facts.pictures.get("views")):
        return ""
    names = ["image", *(f"view {number}" for number in range(1, len(found)))]
    columns = "".join(
        f'<figure class="pair">{"".join(map(_picture, column, names))}</figure>'
        for column in zip(*found)
    )
    return (
        f"<p>Images of the first step (top row) and the {len(found) - 1} views of each that the "
        "network was trained to tell from the views of all others. If you cannot tell from a view "
        "what the image was, the augmentations are too strong for your data.</p>\n"
        f'<div class="wide"><div class="strip">{columns}</div></div>\n'
    )


def _picture(uri: str, name: str) -> str:
    small = ' class="small"' if uri.startswith("data:image/png") else ""  # see `thumbnail_uri`
    return f'<img{small} alt="{escaped(name)}" title="{escaped(name)}" src="{escaped(uri)}">'


def draws_section(facts: RunFacts) -> str:
    """A histogram of each random parameter beside what was intended."""
    if not (found := facts.pictures.get("draws")):
        return ""
    drawn = "".join(
        histogram(*_titled(name, values)) for name, values in found["histograms"].items()
    )
    shares = {
        name.replace("\n", " "): share for name, share in found["shares"].items() if any(share)
    }
    words = {name.replace("\n", " "): text for name, text in _SHARES.items()}
    return (
        "<p>Bars are what the first steps drew, lines what was intended.</p>\n"
        f'{share_bars(shares, words)}<div class="draws">{drawn}</div>\n'
    )


def _titled(name: str, values: Mapping) -> tuple[str, Mapping, str]:
    title, words = _WORDS.get(name, (name, ""))
    return title, values, words


def neighbours_section(facts: RunFacts) -> str:
    """Some images with those whose features are nearest."""
    if not (found := facts.pictures.get("neighbours")):
        return ""
    sample, class_names = facts.pictures["sample"], facts.pictures["sample"]["class_names"]
    text = (
        f"On the left an image, beside it the images with the most similar features among "
        f"{sample['images']:,} {_part(sample)}, with the cosine of the features."
    )
    if (share := sample.get("same_class")) is not None:
        text += (
            " Green frames have the class of the image on the left, red ones another. The nearest "
            f"neighbour of an image has its class for {percent_text(share)} of all "
            f"{sample['images']:,}."
        )
    rows = "".join(
        f'<div class="near">{"".join(_neighbour(each, row[0], class_names) for each in row)}</div>\n'
        for row in found
    )
    return f"<p>{text}</p>\n{rows}"


def _part(sample: Mapping) -> str:
    return {
        "held_out": "images that training did not see",
        "training_images": "training images",
    }[sample["part"]]


def _neighbour(each: Mapping, query: Mapping, class_names) -> str:
    label = each["label"]
    kind, of = "", class_names[label] if label >= 0 else ""
    if each is not query and label >= 0 and query["label"] >= 0:
        is_same = label == query["label"]
        kind = ' class="same"' if is_same else ' class="other"'
        of = f"{'✓' if is_same else '✗'} {of}"
    cosine = "" if each is query else f"{each['cosine']:.3f}<br>"
    return (
        f"<figure{kind}>{_picture(each['picture'], each['name'])}"
        f"<figcaption>{cosine}{escaped(of)}</figcaption></figure>"
    )


def map_section(facts: RunFacts) -> str:
    """The features of images in the plane."""
    if not (found := facts.pictures.get("map")):
        return ""
    sample = facts.pictures["sample"]
    coloured = (
        " Colours are classes, which training did not see." if max(found["labels"]) >= 0 else ""
    )
    points = scatter(found["places"], found["names"], found["labels"], sample["class_names"])
    return (
        f"<p>The features of {len(found['places']):,} {_part(sample)} in two dimensions (t-SNE of "
        f"their first principal components): near points are similar images; distances between "
        f"groups mean little.{coloured}</p>\n{points}"
    )
