"use strict";
// Finds images near a place: the map in cells, the images of each cell one after another.

const CELLS = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(count / 2)))); // in each direction
const cellStart = new Uint32Array(CELLS * CELLS + 1);
const byCell = new Uint32Array(count);

function cellAt(value) {
  return Math.max(0, Math.min(CELLS - 1, Math.floor((value + 1) / 2 * CELLS)));
}

{
  const cellOf = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    cellOf[i] = cellAt(places[2 * i + 1]) * CELLS + cellAt(places[2 * i]);
    cellStart[cellOf[i] + 1]++;
  }
  for (let cell = 0; cell < CELLS * CELLS; cell++) cellStart[cell + 1] += cellStart[cell];
  const next = cellStart.slice();
  for (let i = 0; i < count; i++) byCell[next[cellOf[i]]++] = i;
}

/** Calls `visit` with every image in the cells that a box touches. */
function visitBox(left, top, right, bottom, visit) {
  for (let row = cellAt(top); row <= cellAt(bottom); row++) {
    const from = cellStart[row * CELLS + cellAt(left)];
    const to = cellStart[row * CELLS + cellAt(right) + 1];
    for (let at = from; at < to; at++) visit(byCell[at]);
  }
}

/** The image nearest to a place, at most `radius` away; -1 if there is none. */
function nearestTo(x, y, radius) {
  let best = -1, least = radius * radius;
  visitBox(x - radius, y - radius, x + radius, y + radius, (i) => {
    const far = (places[2 * i] - x) ** 2 + (places[2 * i + 1] - y) ** 2;
    if (far <= least) { least = far; best = i; }
  });
  return best;
}
