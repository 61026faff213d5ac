"use strict";
// Two ways to draw all images as points: WebGL, and Canvas 2D where there is none.
// Both have `colour(rgba)`, 4 bytes for each image, and `paint(camera, width, height, size, ratio, every)`, which
// draws one image of `every`: `everyMoving` while the map moves, and more where frames are slow.

const MOST_EVERY = 31; // WebGL takes strides of 255 bytes at most, and a place has 8

const VERTEX = `
attribute vec2 place; attribute vec4 colour;
uniform vec2 centre, scale; uniform float size; varying vec4 shade; varying float edge;
void main() {
  gl_Position = vec4((place - centre) * scale, 0.0, 1.0);
  gl_PointSize = size + 1.0;
  edge = 1.0 / (size + 1.0);
  shade = vec4(colour.rgb * colour.a, colour.a);
}`;
const FRAGMENT = `
precision mediump float; varying vec4 shade; varying float edge;
void main() {
  gl_FragColor = shade * (1.0 - smoothstep(0.5 - 2.0 * edge, 0.5, length(gl_PointCoord - 0.5)));
}`;

/** Draws with WebGL; null if the browser has none. */
function webglPoints(canvas) {
  const gl = canvas.getContext("webgl", { antialias: false });
  if (!gl) return null;
  let program, colours, last;
  const buffers = {};

  function compile(kind, source) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }

  function fill(name, data) {
    buffers[name] = buffers[name] || gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
  }

  function attribute(name, width, kind, stride) {
    const at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, width, kind, kind === gl.UNSIGNED_BYTE, stride, 0);
  }

  function setUp() {
    program = gl.createProgram();
    delete buffers.place; // of a context that was lost
    delete buffers.colour;
    compile(gl.VERTEX_SHADER, VERTEX);
    compile(gl.FRAGMENT_SHADER, FRAGMENT);
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return false;
    gl.useProgram(program);
    fill("place", places);
    fill("colour", colours || new Uint8Array(4 * count));
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    return true;
  }

  function paint(camera, width, height, size, ratio, every) {
    last = [camera, width, height, size, ratio, every];
    setSize(canvas, width * ratio, height * ratio);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    attribute("place", 2, gl.FLOAT, 8 * every);
    attribute("colour", 4, gl.UNSIGNED_BYTE, 4 * every);
    gl.uniform2f(gl.getUniformLocation(program, "centre"), camera.x, camera.y);
    gl.uniform2f(gl.getUniformLocation(program, "scale"), 2 * camera.scale / width, -2 * camera.scale / height);
    gl.uniform1f(gl.getUniformLocation(program, "size"), size * ratio);
    gl.drawArrays(gl.POINTS, 0, Math.ceil(count / every));
  }

  if (!setUp()) return null;
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => { setUp(); if (last) paint(...last); });
  return {
    name: "WebGL",
    everyMoving: 1,
    colour(rgba) {
      colours = rgba;
      fill("colour", rgba);
    },
    paint,
  };
}

/** A canvas loses what is on it, and takes time, whenever it gets a size. */
function setSize(canvas, width, height) {
  if (canvas.width !== Math.round(width)) canvas.width = Math.round(width);
  if (canvas.height !== Math.round(height)) canvas.height = Math.round(height);
}

const MOST_MOVING = 15000; // points that Canvas 2D draws while the map moves

/** Draws with Canvas 2D: squares, and only some of them while the map moves. */
function canvasPoints(canvas) {
  const context = canvas.getContext("2d");
  let rgba = new Uint8Array(4 * count), order = new Uint32Array(count);
  return {
    name: "Canvas 2D",
    everyMoving: Math.ceil(count / MOST_MOVING),
    colour(bytes) {
      rgba = bytes;
      const words = new Uint32Array(rgba.buffer);
      order = new Uint32Array(count).map((_, i) => i).sort((a, b) => words[a] - words[b] || a - b);
    },
    paint(camera, width, height, size, ratio, every) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      context.scale(ratio, ratio);
      const words = new Uint32Array(rgba.buffer);
      let colour = -1;
      for (let at = 0; at < count; at += every) {
        const i = order[at];
        const x = (places[2 * i] - camera.x) * camera.scale + width / 2;
        const y = (places[2 * i + 1] - camera.y) * camera.scale + height / 2;
        if (x < 0 || y < 0 || x > width || y > height) continue;
        if (words[i] !== colour) {
          colour = words[i];
          const [r, g, b, a] = rgba.subarray(4 * i, 4 * i + 4);
          context.fillStyle = `rgba(${r},${g},${b},${a / 255})`;
        }
        context.fillRect(x - size / 2, y - size / 2, size, size);
      }
    },
  };
}
