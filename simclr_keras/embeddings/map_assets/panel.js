"use strict";
// The lists beside the map. Names are set as text, never as HTML.

const byId = (id) => document.getElementById(id);

/** An element with properties and children; strings among them become text. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A canvas with the picture of an image; null if the page has none. */
function picture(image, kind = "") {
  if (spriteOf[image] < 0) return null;
  const canvas = make("canvas", { width: facts.side, height: facts.side, className: kind });
  drawPicture(canvas.getContext("2d"), image, 0, 0, facts.side);
  return canvas;
}

/** A line of a list: picture or coloured dot, name, number. */
function line(mark, name, number, act) {
  const button = make("button", { type: "button", className: "line", onclick: act });
  button.append(...[mark].filter(Boolean), make("span", { className: "name" }, name), make("span", { className: "number" }, number));
  return button;
}

function dot(group) {
  const mark = make("span", { className: "dot" });
  mark.style.background = `rgb(${rgbOf(group)})`;
  return mark;
}

const TABS = ["groups", "lonely", "twins", "image", "found"];

function openTab(name) {
  for (const tab of TABS) {
    const button = byId(`tab-${tab}`);
    button.setAttribute("aria-selected", String(tab === name));
    button.tabIndex = tab === name ? 0 : -1;
    byId(tab).hidden = tab !== name;
  }
  document.querySelector(".panel").scrollTop = 0;
}

function setUpTabs() {
  for (const tab of TABS) byId(`tab-${tab}`).onclick = () => openTab(tab);
  document.querySelector(".tabs").addEventListener("keydown", (event) => {
    const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!turn) return;
    const shown = TABS.filter((tab) => !byId(`tab-${tab}`).hidden);
    const at = shown.findIndex((tab) => byId(`tab-${tab}`) === document.activeElement);
    const next = shown[(at + turn + shown.length) % shown.length];
    openTab(next);
    byId(`tab-${next}`).focus();
  });
}

const MOST_GROUPS = 300;

/** Folders or clusters, the largest first; a click shows only one of them. */
function listGroups(grouping, chosen, choose) {
  const order = grouping.sizes.map((_, group) => group).sort((a, b) => grouping.sizes[b] - grouping.sizes[a] || a - b);
  const lines = order.slice(0, MOST_GROUPS).map((group) => {
    const button = line(dot(group), grouping.names[group], grouping.sizes[group].toLocaleString("en"), () => choose(group === chosen ? -1 : group));
    button.setAttribute("aria-pressed", String(group === chosen));
    return button;
  });
  byId("groups").replaceChildren(make("p", { className: "muted" }, `Choose a group to see it alone.${order.length > MOST_GROUPS ? ` The ${MOST_GROUPS} largest of ${order.length}:` : ""}`), ...lines);
}

function listOutliers(pin) {
  const lines = [...outliers].map((image, at) => line(picture(image), facts.names[image], distances[at].toFixed(3), () => pin(image, true)));
  const what = lines.length ? "Farthest from their neighbours: distance 1 \u2212 cosine." : "There are too few images.";
  byId("lonely").replaceChildren(make("p", { className: "muted" }, what), ...lines);
}

const MOST_IN_A_STRIP = 24;

function listDuplicates(pin) {
  const parts = facts.groups.flatMap((group) => {
    const buttons = group.slice(0, MOST_IN_A_STRIP).map((image) => {
      const name = facts.names[image], shown = picture(image);
      const button = make("button", { type: "button", title: name, className: shown ? "" : "text", onclick: () => pin(image, true) });
      button.setAttribute("aria-label", name);
      button.append(shown || name);
      return button;
    });
    const more = group.length > MOST_IN_A_STRIP ? `, the first ${MOST_IN_A_STRIP} shown` : "";
    return [make("h2", {}, `${group.length} images${more}`), make("div", { className: "strip" }, ...buttons)];
  });
  const what = parts.length ? "Images that are almost the same, the largest group first." : "There are no near-duplicates.";
  byId("twins").replaceChildren(make("p", { className: "muted" }, what), ...parts);
}

function showImage(image, pin) {
  const box = byId("image");
  if (image < 0) {
    box.replaceChildren(make("p", { className: "muted" }, "Click an image on the map to pin it here with its nearest neighbours."));
    return;
  }
  const k = facts.neighbours;
  const group = (key) => make("div", { className: "line" }, dot(groupings[key].of[image]), groupings[key].names[groupings[key].of[image]]);
  const lines = Array.from({ length: k }, (_, at) => {
    const other = neighboursOf[image * k + at];
    return line(picture(other), facts.names[other], cosinesOf[image * k + at].toFixed(3), () => pin(other, true));
  });
  box.replaceChildren(
    make("div", { className: "both" },
      picture(image, "big") || make("span", { className: "muted" }, "no picture"),
      make("div", {}, make("h2", {}, facts.names[image]), group("folder"), group("cluster"))),
    make("h2", {}, "Nearest neighbours (cosine)"), ...lines,
  );
}

const MOST_FOUND = 200;

function listFound(images, pin) {
  const lines = images.slice(0, MOST_FOUND).map((image) => line(picture(image), facts.names[image], "", () => pin(image, true)));
  const more = images.length > MOST_FOUND ? `, the first ${MOST_FOUND} listed` : "";
  byId("found").replaceChildren(make("p", { className: "muted" }, `${images.length.toLocaleString("en")} images${more}`), ...lines);
}
