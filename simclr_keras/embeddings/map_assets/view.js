"use strict";
// The map: where one looks, what is drawn there, and how a pointer or the keyboard moves it.

const SHOWN_SIDE = { least: 26, most: 72 }; // pixels of a picture on the map
const SLOW_FRAME = 30; // milliseconds

class MapView {
  /** `on.hover(image, x, y)` and `on.pick(image)` are called with -1 where there is no image. */
  constructor(box, on) {
    this.box = box;
    this.on = on;
    this.camera = { x: 0, y: 0, scale: 1 };
    this.pinned = -1;
    this.withPictures = true;
    this.pointers = new Map();
    const canvas = document.getElementById("points");
    this.points = webglPoints(canvas) || canvasPoints(this.fresh(canvas));
    this.every = this.points.everyMoving;
    this.overlay = document.getElementById("overlay");
    new ResizeObserver(() => this.resize()).observe(box);
    this.listen();
    this.resize();
    this.fit();
  }

  /** A canvas that has given out no context, not even one of WebGL that failed. */
  fresh(canvas) {
    const copy = canvas.cloneNode();
    canvas.replaceWith(copy);
    return copy;
  }

  resize() {
    const { width, height } = this.box.getBoundingClientRect();
    const was = this.width;
    this.width = Math.max(1, width);
    this.height = Math.max(1, height);
    if (was && this.isWhole) this.fit();
    this.draw();
  }

  fit() {
    this.camera = { x: 0, y: 0, scale: 0.46 * Math.min(this.width / extent[0], this.height / extent[1]) };
    this.isWhole = true;
    this.least = this.camera.scale / 2;
    this.draw();
  }

  moveBy(x, y) {
    this.camera.x = Math.max(-1, Math.min(1, this.camera.x - x / this.camera.scale));
    this.camera.y = Math.max(-1, Math.min(1, this.camera.y - y / this.camera.scale));
    this.isWhole = false;
    this.hurry();
  }

  /** Zooms so that the place under (x, y), in pixels of the map, stays there. */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const camera = this.camera;
    const scale = Math.max(this.least, Math.min(this.least * 4000, camera.scale * factor));
    const shift = 1 / camera.scale - 1 / scale;
    camera.x += (x - this.width / 2) * shift;
    camera.y += (y - this.height / 2) * shift;
    camera.scale = scale;
    this.isWhole = false;
    this.hurry();
  }

  /** Moves the map so that an image is in sight, and near enough to see its neighbours. */
  show(image) {
    this.camera.x = places[2 * image];
    this.camera.y = places[2 * image + 1];
    const about = 60; // images in sight, if they are spread evenly
    const near = Math.sqrt(this.width * this.height * count / about / (4 * extent[0] * extent[1]));
    this.camera.scale = Math.max(this.camera.scale, near);
    this.isWhole = false;
    this.draw();
  }

  /** Draws in the next frame, fewer points until the map rests if frames would be slow. */
  hurry() {
    if (!this.moving) this.before = 0;
    this.moving = true;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => { this.moving = false; this.draw(); }, 150);
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame((now) => {
      this.waiting = false;
      if (this.moving) this.thinOut(now);
      this.paint();
    });
  }

  /** After two slow frames in a row, while the map moves: half as many points from then on. */
  thinOut(now) {
    this.slow = this.before && now - this.before > SLOW_FRAME ? this.slow + 1 : 0;
    this.before = now;
    if (this.slow < 2) return;
    this.every = Math.max(this.every, Math.min(MOST_EVERY, 2 * this.every));
    this.slow = 0;
  }

  paint() {
    const { camera, width, height } = this;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const base = Math.max(2.5, Math.min(7, 0.33 * Math.sqrt(width * height / count)));
    const size = Math.min(11, base * Math.max(1, camera.scale / (2 * this.least)) ** 0.4);
    this.points.paint(camera, width, height, size, ratio, this.moving ? this.every : 1);
    this.overlay.width = Math.round(width * ratio); // also clears
    this.overlay.height = Math.round(height * ratio);
    const context = this.overlay.getContext("2d");
    context.scale(ratio, ratio);
    this.paintPictures(context);
    this.paintPinned(context, size);
    if (this.byKeys) this.paintCross(context);
  }

  place(image) {
    return [
      (places[2 * image] - this.camera.x) * this.camera.scale + this.width / 2,
      (places[2 * image + 1] - this.camera.y) * this.camera.scale + this.height / 2,
    ];
  }

  /** What is in sight, in units of the map. */
  sight() {
    const across = this.width / 2 / this.camera.scale, down = this.height / 2 / this.camera.scale;
    const { x, y } = this.camera;
    return [x - across, y - down, x + across, y + down];
  }

  /** One picture for each cell as large as a picture: the first that the page has there. */
  paintPictures(context) {
    this.side = 0;
    if (!this.withPictures || !drawn.length) return;
    let inSight = 0;
    visitBox(...this.sight(), () => { inSight++; });
    const side = Math.sqrt(0.8 * this.width * this.height / Math.max(1, inSight));
    if (side < SHOWN_SIDE.least) return;
    this.side = Math.min(SHOWN_SIDE.most, side);
    const cell = this.side / this.camera.scale;
    const chosen = new Map();
    visitBox(...this.sight(), (i) => {
      const sprite = spriteOf[i];
      if (sprite < 0 || (this.isFaint && this.isFaint(i))) return;
      const key = Math.floor(places[2 * i] / cell) + "," + Math.floor(places[2 * i + 1] / cell);
      const held = chosen.get(key);
      if (held === undefined || sprite < spriteOf[held]) chosen.set(key, i);
    });
    for (const i of chosen.values()) this.paintPicture(context, i);
  }

  paintPicture(context, image) {
    const [x, y] = this.place(image);
    const half = this.side * 0.46;
    if (!drawPicture(context, image, x - half, y - half, 2 * half)) return;
    context.strokeStyle = this.colourOf(image);
    context.lineWidth = 3;
    context.strokeRect(x - half, y - half, 2 * half, 2 * half);
  }

  paintPinned(context, size) {
    if (this.pinned < 0) return;
    const ink = getComputedStyle(this.box).color;
    const [x, y] = this.place(this.pinned);
    context.strokeStyle = ink;
    context.lineWidth = 1.5;
    context.globalAlpha = 0.6;
    const k = facts.neighbours;
    for (let at = 0; at < k; at++) {
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(...this.place(neighboursOf[this.pinned * k + at]));
      context.stroke();
    }
    context.globalAlpha = 1;
    context.lineWidth = 2.5;
    if (this.side) this.paintPicture(context, this.pinned);
    context.strokeStyle = ink;
    context.beginPath();
    context.arc(x, y, Math.max(size, this.side * 0.68) + 3, 0, 2 * Math.PI);
    context.stroke();
  }

  paintCross(context) {
    context.strokeStyle = getComputedStyle(this.box).color;
    context.lineWidth = 1.5;
    for (const [x, y] of [[9, 0], [0, 9]]) {
      context.beginPath();
      context.moveTo(this.width / 2 - x, this.height / 2 - y);
      context.lineTo(this.width / 2 + x, this.height / 2 + y);
      context.stroke();
    }
  }

  /** The image at (x, y) in pixels of the map; -1 if there is none. */
  imageAt(x, y, reach = 14) {
    const at = (pixel, length, centre) => (pixel - length / 2) / this.camera.scale + centre;
    const radius = Math.max(reach, this.side * 0.5) / this.camera.scale;
    return nearestTo(at(x, this.width, this.camera.x), at(y, this.height, this.camera.y), radius);
  }

  listen() {
    const box = this.box, pointers = this.pointers;
    const position = (event) => {
      const { left, top } = box.getBoundingClientRect();
      return { x: event.clientX - left, y: event.clientY - top };
    };
    let moved = 0;
    box.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button") || event.button > 0) return;
      if (!pointers.size) moved = 0;
      pointers.set(event.pointerId, position(event));
      box.setPointerCapture(event.pointerId);
      this.byKeys = false;
    });
    box.addEventListener("pointermove", (event) => {
      const now = position(event), before = pointers.get(event.pointerId);
      if (!before) {
        const image = event.target.closest("button") ? -1 : this.imageAt(now.x, now.y);
        box.classList.toggle("near", image >= 0);
        this.on.hover(image, now.x, now.y);
        return;
      }
      moved += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
      pointers.set(event.pointerId, now);
      if (moved < 6) return;
      box.classList.add("held");
      this.on.hover(-1);
      const other = [...pointers].find(([id]) => id !== event.pointerId);
      if (other) {
        const far = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) || 1;
        this.zoom(far(now, other[1]) / far(before, other[1]), (now.x + other[1].x) / 2, (now.y + other[1].y) / 2);
        this.moveBy((now.x - before.x) / 2, (now.y - before.y) / 2);
      } else this.moveBy(now.x - before.x, now.y - before.y);
    });
    const end = (event) => {
      const held = pointers.delete(event.pointerId);
      if (pointers.size) return;
      box.classList.remove("held");
      if (held && event.type === "pointerup" && moved < 6) {
        const { x, y } = position(event);
        this.on.pick(this.imageAt(x, y, event.pointerType === "touch" ? 24 : 14));
      }
    };
    box.addEventListener("pointerup", end);
    box.addEventListener("pointercancel", end);
    box.addEventListener("pointerleave", () => this.on.hover(-1));
    box.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = position(event);
      const pixels = event.deltaY * (event.deltaMode ? 30 : 1);
      this.zoom(Math.exp(-Math.max(-200, Math.min(200, pixels)) * (event.ctrlKey ? 0.01 : 0.0022)), x, y);
      this.on.hover(-1);
    }, { passive: false });
    box.addEventListener("blur", () => { this.byKeys = false; this.draw(); });
    box.addEventListener("keydown", (event) => {
      if (event.target === box && !event.ctrlKey && !event.metaKey && this.key(event.key)) event.preventDefault();
    });
  }

  /** What a key does on the map; whether it does anything. */
  key(name) {
    const step = 60;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    this.byKeys = true;
    if (moves[name]) this.moveBy(...moves[name]);
    else if (name === "+" || name === "=") this.zoom(1.4);
    else if (name === "-") this.zoom(1 / 1.4);
    else if (name === "0") this.fit();
    else if (name === "Enter") {
      this.on.pick(this.imageAt(this.width / 2, this.height / 2, 200));
      return true;
    } else return false;
    this.on.hover(this.imageAt(this.width / 2, this.height / 2), this.width / 2, this.height / 2);
    return true;
  }
}
