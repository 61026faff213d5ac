"use strict";
// Puts the map and the lists together: colours, search, the pinned image, keys.

const tip = byId("tip"), query = byId("query"), colour = byId("colour");
let alone = -1; // the only group that is not faint
let found = null; // images that the search found: a Set, or null without a search
let names = null; // lower-case names, made when first searched

const view = new MapView(byId("map"), { hover, pick: (image) => pin(image, false) });
view.colourOf = (image) => `rgb(${rgbOf(groupings[colour.value].of[image])})`;
view.isFaint = (image) => (found ? !found.has(image) : alone >= 0 && groupings[colour.value].of[image] !== alone);

function recolour() {
  const group = groupings[colour.value].of, rgba = new Uint8Array(4 * count), known = [];
  for (let i = 0; i < count; i++) {
    const [r, g, b] = (known[group[i]] ||= rgbOf(group[i]));
    rgba.set([r, g, b, view.isFaint(i) ? 26 : 205], 4 * i);
  }
  view.points.colour(rgba);
  view.draw();
}

function chooseGroup(group) {
  alone = group;
  listGroups(groupings[colour.value], alone, chooseGroup);
  recolour();
}

function hover(image, x, y) {
  tip.hidden = image < 0;
  if (image < 0) return;
  const group = groupings[colour.value];
  const shown = picture(image);
  tip.replaceChildren(...(shown ? [shown, make("br")] : []), facts.names[image], make("br"), make("span", { className: "muted" }, group.names[group.of[image]]));
  const beside = x + 16 + tip.offsetWidth > view.width ? x - 16 - tip.offsetWidth : x + 16;
  tip.style.left = `${Math.max(4, beside)}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 16, view.height - tip.offsetHeight - 4))}px`;
}

/** Pins an image, and unpins with -1; `go` moves the map there. */
function pin(image, go) {
  const was = view.pinned;
  view.pinned = image;
  tip.hidden = true;
  showImage(image, pin);
  if (image >= 0) {
    openTab("image");
    byId("aloud").textContent = `Pinned ${facts.names[image]}`;
    if (go) view.show(image);
  } else if (was >= 0 && !byId("image").hidden) openTab("groups");
  view.draw();
}

function search() {
  const text = query.value.trim().toLowerCase();
  names ||= facts.names.map((name) => name.toLowerCase());
  const images = [];
  if (text) names.forEach((name, image) => { if (name.includes(text)) images.push(image); });
  found = text ? new Set(images) : null;
  byId("tab-found").hidden = !text;
  if (text) listFound(images, pin);
  openTab(text ? "found" : "groups");
  byId("aloud").textContent = text ? `${images.length} images found` : "";
  recolour();
  return images;
}

function setUp() {
  document.querySelector("h1").append(" ", make("small", {}, `${count.toLocaleString("en")} images`));
  if (facts.folders.length < 2) {
    colour.value = "cluster";
    colour.querySelector("[value=folder]").disabled = true;
  }
  setUpTabs();
  byId("tab-found").hidden = true;
  byId("notes").append(...facts.notes.map((note) => make("p", {}, note)));
  if (!drawn.length) byId("pictures").closest("label").hidden = true;
  fill();
  openTab("groups");
  let pause;
  query.oninput = () => { clearTimeout(pause); pause = setTimeout(search, 120); };
  document.querySelector(".tools").onsubmit = (event) => {
    event.preventDefault();
    const [image] = search();
    if (image !== undefined) pin(image, true);
  };
  colour.onchange = () => chooseGroup(-1);
  byId("pictures").onchange = (event) => { view.withPictures = event.target.checked; view.draw(); };
  byId("nearer").onclick = () => view.zoom(1.6);
  byId("farther").onclick = () => view.zoom(1 / 1.6);
  byId("fit").onclick = () => view.fit();
  document.addEventListener("keydown", shortcut);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.draw());
  // The lists again, with pictures, once the browser has decoded them.
  Promise.allSettled(sheets.map((sheet) => sheet.decode())).then(() => { fill(); view.draw(); document.body.dataset.ready = view.points.name; });
}

function fill() {
  chooseGroup(alone);
  listOutliers(pin);
  listDuplicates(pin);
  showImage(view.pinned, pin);
}

function shortcut(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (document.activeElement === query && query.value) { query.value = ""; search(); } else pin(-1);
  } else if (event.target.matches("input, select")) return;
  else if (event.key === "/") { event.preventDefault(); query.focus(); }
  else if (event.key === "c" && facts.folders.length > 1) { colour.value = colour.value === "folder" ? "cluster" : "folder"; chooseGroup(-1); }
  else if (event.key === "p") byId("pictures").click();
}

setUp();
