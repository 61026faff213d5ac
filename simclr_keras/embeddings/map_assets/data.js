"use strict";
// What Python wrote into the page: facts as JSON, numbers as base64 of little-endian arrays.

function numbers(id, Kind) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return new Kind(bytes.buffer);
}

const facts = JSON.parse(document.getElementById("facts").textContent);
const count = facts.names.length;
const places = numbers("places", Float32Array); // x, y of each image, in [-1, 1]
const extent = [0.01, 0.01]; // the map reaches so far from its centre, in x and y
places.forEach((value, at) => { extent[at % 2] = Math.max(extent[at % 2], Math.abs(value)); });
const neighboursOf = numbers("neighbours-of", Uint32Array); // facts.neighbours for each image
const cosinesOf = numbers("cosines-of", Float32Array);
const outliers = numbers("outliers", Uint32Array);
const distances = numbers("distances", Float32Array);
const drawn = numbers("drawn", Uint32Array); // the images on the sheets, in their order
const sheets = [...document.querySelectorAll("img.sheet")];

// The two ways to colour: a number for each image, and a name for each number.
const groupings = {
  folder: { of: numbers("folder-of", Uint32Array), names: facts.folders.map((name) => name || "(no folder)") },
  cluster: { of: numbers("cluster-of", Uint32Array), names: [] },
};
for (const [key, grouping] of Object.entries(groupings)) {
  grouping.sizes = [];
  for (const group of grouping.of) grouping.sizes[group] = (grouping.sizes[group] || 0) + 1;
  if (key === "cluster") grouping.names = grouping.sizes.map((_, k) => `cluster ${k + 1}`);
}

const spriteOf = new Int32Array(count).fill(-1);
drawn.forEach((image, sprite) => { spriteOf[image] = sprite; });

/** Draws an image's picture on a canvas; false if the page has none (yet). */
function drawPicture(context, image, x, y, side) {
  const sprite = spriteOf[image];
  if (sprite < 0) return false;
  const perSheet = facts.columns * facts.columns;
  const sheet = sheets[Math.floor(sprite / perSheet)];
  if (!sheet.complete || !sheet.naturalWidth) return false;
  const place = sprite % perSheet;
  const left = (place % facts.columns) * facts.side;
  const top = Math.floor(place / facts.columns) * facts.side;
  context.drawImage(sheet, left, top, facts.side, facts.side, x, y, side, side);
  return true;
}

const first = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#9467bd", "#17a9b8", "#d4a90f", "#e377c2", "#9c6b4e", "#7f8c8d"];

/** Red, green and blue (0-255) of a group: ten chosen colours, then hues a golden angle apart. */
function rgbOf(group) {
  if (group < first.length) return [1, 3, 5].map((at) => parseInt(first[group].slice(at, at + 2), 16));
  const hue = (group * 137.508) % 360, light = 0.5 + 0.1 * (group % 3 - 1);
  const chroma = 0.6 * (1 - Math.abs(2 * light - 1));
  return [0, 8, 4].map((shift) => {
    const turn = (shift + hue / 30) % 12;
    return Math.round(255 * (light - chroma * Math.max(-1, Math.min(turn - 3, 9 - turn, 1))));
  });
}
