"""The page of `map`: time to build it, its size, and frames per second while it is moved.

The vectors are drawn from 30 normal distributions. With `--images FOLDER`, names are those of its
images, again and again, and the page has their pictures. Frames are counted in headless Chromium,
where one is installed: it draws in software, so a computer with a GPU is faster; with
`--flags=--disable-3d-apis` it has no WebGL, and the page falls back to Canvas 2D.

    python benchmarks/map_page.py --vectors 100000 --images photos/
    python benchmarks/map_page.py --page map.html      # only the frames of a page
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import numpy as np

import simclr_keras as sk
from simclr_keras.data.folders import find_images

_SECONDS = 120  # until Chromium must have answered
# Pans in a circle, then zooms into the middle, for 120 frames each.
_PROBE = """<script>
addEventListener("load", async () => {
  await Promise.allSettled(sheets.map((sheet) => sheet.decode()));
  const moves = {
    "pan": (frame) => view.moveBy(6 * Math.cos(frame / 9), 6 * Math.sin(frame / 9)),
    "zoom": () => view.zoom(1.03),
    "pan, zoomed in": (frame) => view.moveBy(6 * Math.cos(frame / 9), 6 * Math.sin(frame / 9)),
  };
  const next = () => new Promise(requestAnimationFrame);
  for (const [name, move] of Object.entries(moves)) {
    const gaps = [];
    let before = await next();
    for (let frame = 0; frame < 120; frame++) {
      move(frame);
      const now = await next();
      gaps.push(now - before);
      before = now;
    }
    gaps.sort((a, b) => a - b);
    const [rate, slowest] = [1000 / gaps[60], gaps[119]].map(Math.round);
    console.log(`FRAMES ${view.points.name}, ${name}: ${rate} frames/s, slowest ${slowest} ms;`);
  }
  console.log("FRAMES done;");
});
</script>"""


def build(
    vectors: int, dimension: int, images: str | None, folder: pathlib.Path
) -> pathlib.Path:
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(30, dimension))
    spread = draw.uniform(0.6, 1.4, (vectors, 1))
    noise = spread * draw.normal(size=(vectors, dimension))
    points = centres[draw.integers(0, 30, vectors)] + noise
    names = [f"{index}.jpg" for index in range(vectors)]
    if images:
        files = find_images(pathlib.Path(images))
        names = [files[index % len(files)] for index in range(vectors)]
    file = folder / "points.npz"
    root = {"root": str(pathlib.Path(images).resolve())} if images else {}
    np.savez(file, paths=names, embeddings=points.astype(np.float32), **root)
    wall, processor = time.perf_counter(), time.process_time()
    result = sk.map_embeddings(sk.MapConfig(file))
    print(
        f"{vectors} images of {dimension} numbers, {result.pictures} with a picture: built in "
        f"{time.perf_counter() - wall:.0f} s ({time.process_time() - processor:.0f} s of processor "
        f"time), {result.page.stat().st_size / 1e6:.1f} MB",
        flush=True,
    )
    return result.page


def frames(page: pathlib.Path, folder: pathlib.Path, flags: list[str]) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("Frames were not counted: there is no Chromium.")
        return
    probed = folder / "probed.html"
    text = page.read_text(encoding="utf-8")
    probed.write_text(text.replace("</body>", f"{_PROBE}</body>"), encoding="utf-8")
    command = [chromium, "--headless", "--no-sandbox", "--enable-logging=stderr"]
    command += [f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0"]
    command += ["--window-size=1280,800", *flags, f"file://{probed}"]
    began = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as browser:
        assert browser.stderr is not None
        for line in browser.stderr:
            found = re.search(r"FRAMES (.*?);", line)
            if found and found[1] != "done":
                print(found[1], flush=True)
            if found and found[1] == "done" or time.monotonic() - began > _SECONDS:
                break
        browser.terminate()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--images")
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--flags", nargs="*", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        page = options.page or build(options.vectors, options.dimension, options.images, folder)
        frames(page, folder, options.flags)


if __name__ == "__main__":
    main()
