"use strict";
// Two ways to draw all images as points: WebGL, and Canvas 2D where there is none.
// Both have `colour(rgba)`, 4 bytes for each image, and `paint(camera, width, height, size, ratio, hurry)`.

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

  function compile(kind, source) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }

  function attribute(name, data, width, kind) {
    const at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, width, kind, kind === gl.UNSIGNED_BYTE, 0, 0);
  }

  function setUp() {
    program = gl.createProgram();
    compile(gl.VERTEX_SHADER, VERTEX);
    compile(gl.FRAGMENT_SHADER, FRAGMENT);
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return false;
    gl.useProgram(program);
    attribute("place", places, 2, gl.FLOAT);
    attribute("colour", colours || new Uint8Array(4 * count), 4, gl.UNSIGNED_BYTE); // bound last, see `colour`
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    return true;
  }

  function paint(camera, width, height, size, ratio) {
    last = [camera, width, height, size, ratio];
    canvas.width = Math.round(width * ratio); // also clears
    canvas.height = Math.round(height * ratio);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.uniform2f(gl.getUniformLocation(program, "centre"), camera.x, camera.y);
    gl.uniform2f(gl.getUniformLocation(program, "scale"), 2 * camera.scale / width, -2 * camera.scale / height);
    gl.uniform1f(gl.getUniformLocation(program, "size"), size * ratio);
    gl.drawArrays(gl.POINTS, 0, count);
  }

  if (!setUp()) return null;
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => { setUp(); if (last) paint(...last); });
  return {
    name: "WebGL",
    colour(rgba) {
      colours = rgba;
      gl.bufferData(gl.ARRAY_BUFFER, rgba, gl.DYNAMIC_DRAW);
    },
    paint,
  };
}

const MOST_IN_A_HURRY = 15000; // points that Canvas 2D draws while the map moves

/** Draws with Canvas 2D: squares, and only some of them while the map moves. */
function canvasPoints(canvas) {
  const context = canvas.getContext("2d");
  let rgba = new Uint8Array(4 * count), order = new Uint32Array(count);
  return {
    name: "Canvas 2D",
    colour(bytes) {
      rgba = bytes;
      const words = new Uint32Array(rgba.buffer);
      order = new Uint32Array(count).map((_, i) => i).sort((a, b) => words[a] - words[b] || a - b);
    },
    paint(camera, width, height, size, ratio, hurry) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      context.scale(ratio, ratio);
      const words = new Uint32Array(rgba.buffer);
      const every = hurry ? Math.ceil(count / MOST_IN_A_HURRY) : 1;
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
