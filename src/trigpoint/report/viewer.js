// The 3D view: points and cameras in plain WebGL 1. Reads the JSON of #scene; y is up, the scene's radius about 1.
"use strict";
(() => {
  const box = document.getElementById("viewer");
  if (!box) return;
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const canvas = box.querySelector("canvas");
  const gl = canvas.getContext("webgl", { antialias: true, alpha: false });
  if (!gl) {
    box.classList.add("no-webgl");
    document.body.dataset.webgl = "absent";
    return;
  }
  const FIELD_OF_VIEW = 0.9; // vertical, radians
  const COLORS = { map: [0.5, 0.7, 0.9], missed: [1, 0.35, 0.3], truth: [0.32, 0.85, 0.54], picked: [1, 1, 1] };
  const ofHex = (hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255);
  const SPLITS = Object.fromEntries(Object.entries(scene.splits).map(([split, hex]) => [split, ofHex(hex)]));
  const colorOf = (camera, layer) => (layer === "query" ? SPLITS[camera.split] : COLORS[layer]);
  const BACKGROUND = [0.063, 0.082, 0.11];
  const CAMERA_SIZE = 0.05; // length of a frustum, of the scene's radius
  const PICK_PX = 16;

  const program = (vertex, fragment) => {
    const made = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(made, shader);
    }
    gl.bindAttribLocation(made, 0, "position");
    gl.bindAttribLocation(made, 1, "color");
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
    return { made, matrix: gl.getUniformLocation(made, "matrix"), size: gl.getUniformLocation(made, "size"), round: gl.getUniformLocation(made, "round") };
  };
  const shader = program(
    `attribute vec3 position; attribute vec3 color; uniform mat4 matrix; uniform float size; varying vec3 tint;
     void main() { gl_Position = matrix * vec4(position, 1.0); gl_PointSize = clamp(size / gl_Position.w, size * 0.45, size * 3.0); tint = color; }`,
    `precision mediump float; varying vec3 tint; uniform float round;
     void main() { if (round > 0.5 && length(gl_PointCoord - 0.5) > 0.5) discard; gl_FragColor = vec4(tint, 1.0); }`);

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const buffer = (data) => {
    const made = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, made);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    return made;
  };

  const clouds = new Map();
  const cloud = (run) => {
    if (!clouds.has(run.name)) {
      const positions = new Float32Array(bytes(run.points).buffer);
      let colors = run.colors ? bytes(run.colors) : null;
      if (!colors) colors = new Uint8Array(positions.length).fill(190); // a model without colours
      clouds.set(run.name, { values: positions, positions: buffer(positions), colors: buffer(colors), count: positions.length / 3 });
    }
    return clouds.get(run.name);
  };

  // Camera rows of one run by layer; a missed query is shown where the ground truth has it.
  const layersOf = (run) => {
    const known = new Set(run.cameras.map((c) => c.name));
    return {
      map: run.cameras.filter((c) => c.role === "map"),
      query: run.cameras.filter((c) => c.role === "query"),
      missed: run.aligned ? scene.truth.filter((c) => c.role === "query" && !known.has(c.name)) : [],
      truth: run.aligned ? scene.truth : [],
    };
  };

  const corners = (camera, length) => {
    const [cx, cy, cz] = camera.center;
    const r = camera.rotation;
    const at = (x, y, z) => [cx + r[0] * x + r[1] * y + r[2] * z, cy + r[3] * x + r[4] * y + r[5] * z, cz + r[6] * x + r[7] * y + r[8] * z];
    const [w, h] = [camera.half[0] * length, camera.half[1] * length];
    return { apex: camera.center, ring: [at(-w, -h, length), at(w, -h, length), at(w, h, length), at(-w, h, length)], top: at(0, -1.5 * h, length) };
  };
  const frustum = (camera, length, color, into) => {
    const { apex, ring, top } = corners(camera, length);
    const line = (a, b) => { into.positions.push(...a, ...b); into.colors.push(...color, ...color); };
    ring.forEach((corner, i) => { line(apex, corner); line(corner, ring[(i + 1) % 4]); });
    line(ring[0], top); // a roof, so that up is seen
    line(ring[1], top);
  };

  const state = { run: scene.runs[0], picked: null, yaw: 0.7, pitch: 0.45, distance: 1.9, target: [0, 0, 0], roll: null, lines: null, shown: [] };
  const isOn = (layer) => { const input = document.querySelector(`[data-layer="${layer}"]`); return Boolean(input && input.checked); };
  const sliders = { point: document.getElementById("point-size"), camera: document.getElementById("camera-size") };

  const build = () => {
    const into = { positions: [], colors: [] };
    const layers = layersOf(state.run);
    const length = CAMERA_SIZE * Number(sliders.camera.value);
    state.shown = [];
    for (const layer of ["truth", "map", "query", "missed"]) {
      if (!isOn(layer)) continue;
      for (const camera of layers[layer]) {
        const picked = state.picked === camera.name && layer !== "truth";
        frustum(camera, picked ? 1.6 * length : length, picked ? COLORS.picked : colorOf(camera, layer), into);
        state.shown.push({ camera, layer });
      }
    }
    if (state.lines) [state.lines.positions, state.lines.colors].forEach((old) => gl.deleteBuffer(old));
    state.lines = { positions: buffer(new Float32Array(into.positions)), colors: buffer(new Float32Array(into.colors)), count: into.positions.length / 3 };
    const run = state.run;
    const some = run.num_points < run.total_points ? `${run.num_points.toLocaleString("en")} of ${run.total_points.toLocaleString("en")}` : run.total_points.toLocaleString("en");
    const parts = [`${some} points`, `${layers.map.length} map images`];
    if (layers.query.length + layers.missed.length) parts.push(`${layers.query.length} queries localized`);
    if (layers.missed.length) parts.push(`${layers.missed.length} missed`);
    document.getElementById("counts").textContent = `${run.name}: ${parts.join(", ")}`;
    draw();
  };

  // -- 4x4 matrices, column-major
  const multiply = (a, b) => {
    const out = new Float32Array(16);
    for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++) for (let k = 0; k < 4; k++) out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
    return out;
  };
  const perspective = (angle, aspect, near, far) => {
    const f = 1 / Math.tan(angle / 2);
    return new Float32Array([f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0]);
  };
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const unit = (a) => { const n = Math.hypot(...a) || 1; return a.map((v) => v / n); };
  const axes = () => {
    const back = [Math.sin(state.yaw) * Math.cos(state.pitch), Math.sin(state.pitch), Math.cos(state.yaw) * Math.cos(state.pitch)];
    const right = unit(cross([0, 1, 0], back));
    return { back, right, up: cross(back, right) };
  };
  const viewMatrix = () => {
    const { back, right, up } = axes();
    const eye = state.target.map((t, i) => t + back[i] * state.distance);
    return new Float32Array([right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0, -dot(right, eye), -dot(up, eye), -dot(back, eye), 1]);
  };

  let matrix = null;
  let waiting = false;
  const draw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; render(); });
  };
  const bind = (part, type) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, part.positions);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, part.colors);
    gl.vertexAttribPointer(1, 3, type, type === gl.UNSIGNED_BYTE, 0, 0);
  };
  const render = () => {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(...BACKGROUND, 1);
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(shader.made);
    gl.enableVertexAttribArray(0);
    gl.enableVertexAttribArray(1);
    matrix = multiply(perspective(FIELD_OF_VIEW, width / height, state.distance / 200, state.distance * 50 + 50), viewMatrix());
    gl.uniformMatrix4fv(shader.matrix, false, matrix);
    let drawn = 0;
    if (isOn("points")) {
      const points = cloud(state.run);
      gl.uniform1f(shader.size, Number(sliders.point.value) * ratio * 1.6);
      gl.uniform1f(shader.round, 1);
      bind(points, gl.UNSIGNED_BYTE);
      gl.drawArrays(gl.POINTS, 0, points.count);
      drawn = points.count;
    }
    gl.uniform1f(shader.round, 0);
    bind(state.lines, gl.FLOAT);
    gl.drawArrays(gl.LINES, 0, state.lines.count);
    report(drawn, width, height);
  };
  // What was drawn, for tests: counts, and how many pixels differ from the background after the first frame.
  const report = (drawn, width, height) => {
    Object.assign(document.body.dataset, { webgl: "drawn", pointsDrawn: drawn, camerasDrawn: state.shown.length });
    if (document.body.dataset.pixelsDrawn) return;
    const pixels = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    let lit = 0;
    for (let i = 0; i < pixels.length; i += 4) {
      if (BACKGROUND.some((value, c) => Math.abs(pixels[i + c] - 255 * value) > 3)) lit += 1;
    }
    document.body.dataset.pixelsDrawn = lit;
  };

  const project = (point) => {
    const clip = [0, 1, 2, 3].map((r) => matrix[r] * point[0] + matrix[4 + r] * point[1] + matrix[8 + r] * point[2] + matrix[12 + r]);
    if (clip[3] <= 0) return null;
    return [(clip[0] / clip[3] + 1) / 2 * canvas.clientWidth, (1 - clip[1] / clip[3]) / 2 * canvas.clientHeight];
  };
  const nearest = (event) => {
    if (!matrix) return null;
    const rect = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - rect.left, event.clientY - rect.top];
    let best = null;
    let least = PICK_PX;
    for (const item of state.shown) {
      const { apex, ring } = corners(item.camera, CAMERA_SIZE * Number(sliders.camera.value));
      const middle = ring[0].map((value, i) => (value + ring[2][i]) / 2);
      for (const at of [project(apex), project(middle)]) {
        const gap = at ? Math.hypot(at[0] - x, at[1] - y) : Infinity;
        if (gap < least) { least = gap; best = item; }
      }
    }
    return best;
  };

  const card = document.getElementById("card");
  const WORDS = { map: "map image", query: "localized query", missed: "query without a pose (shown at its ground truth)", truth: "ground truth" };
  const describe = (item) => {
    card.style.display = item ? "block" : "none";
    if (!item) return;
    const { camera, layer } = item;
    card.querySelector(".name").textContent = camera.name;
    card.querySelector(".what").textContent = WORDS[layer] + (camera.split ? `, ${camera.split}` : "");
    const image = card.querySelector("img");
    const address = scene.thumbnails[camera.name];
    image.style.display = address ? "block" : "none";
    if (address) { image.src = address; image.alt = camera.name; }
  };
  const pick = (item) => {
    state.picked = item ? item.camera.name : null;
    describe(item);
    build();
  };

  // Stand where a camera stands and look where it looks: the target lies ahead of it, on the height of its gaze.
  const lookThrough = ({ camera }) => {
    const r = camera.rotation;
    const ahead = [r[2], r[5], r[8]];
    state.yaw = Math.atan2(-ahead[0], -ahead[2]);
    state.pitch = Math.asin(Math.max(-1, Math.min(1, -ahead[1])));
    state.distance = 0.8;
    state.target = camera.center.map((value, i) => value + ahead[i] * state.distance);
    draw();
  };

  const pointers = new Map();
  let moved = 0;
  const turn = (dx, dy) => {
    state.yaw -= dx * 0.006;
    state.pitch = Math.max(-1.55, Math.min(1.55, state.pitch + dy * 0.006));
    draw();
  };
  const shift = (dx, dy) => {
    const { right, up } = axes();
    const step = (2 * Math.tan(FIELD_OF_VIEW / 2) * state.distance) / canvas.clientHeight;
    state.target = state.target.map((t, i) => t - (right[i] * dx - up[i] * dy) * step);
    draw();
  };
  const zoom = (factor) => { state.distance = Math.max(0.01, Math.min(60, state.distance * factor)); draw(); };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) {
      const item = nearest(event);
      canvas.style.cursor = item ? "pointer" : "";
      if (!state.picked) describe(item);
      return;
    }
    const [dx, dy] = [event.clientX - last.clientX, event.clientY - last.clientY];
    moved += Math.abs(dx) + Math.abs(dy);
    if (pointers.size === 2) {
      const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
      const gap = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY) || 1;
      zoom(gap(last) / gap(event));
      shift(dx / 2, dy / 2);
    } else if (event.buttons & 2 || event.buttons & 4 || event.shiftKey) shift(dx, dy);
    else turn(dx, dy);
    pointers.set(event.pointerId, event);
  });
  const release = (event) => {
    const wasClick = pointers.size === 1 && moved < 5 && event.type === "pointerup" && event.button === 0;
    pointers.delete(event.pointerId);
    if (wasClick) pick(nearest(event));
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("dblclick", (event) => { const item = nearest(event); if (item) lookThrough(item); });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.003)); }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const acts = { ArrowLeft: () => turn(-20, 0), ArrowRight: () => turn(20, 0), ArrowUp: () => turn(0, -20), ArrowDown: () => turn(0, 20), "+": () => zoom(0.85), "-": () => zoom(1.18) };
    if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
  });
  canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); box.classList.add("no-webgl"); });

  // The least distance from which nine tenths of the cameras and of the points are inside the picture.
  const fitting = () => {
    const { back, right, up } = axes();
    const half = Math.tan(FIELD_OF_VIEW / 2) * 0.92;
    const aspect = canvas.clientWidth / Math.max(canvas.clientHeight, 1);
    const needed = (point) => Math.max(Math.abs(dot(right, point)) / (half * aspect), Math.abs(dot(up, point)) / half) + dot(back, point);
    const { values, count } = cloud(state.run);
    const step = Math.max(1, Math.floor(count / 2000));
    const points = [];
    for (let i = 0; i < count; i += step) points.push(needed(values.subarray(3 * i, 3 * i + 3)));
    const share = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(0.9 * (numbers.length - 1))] || 0;
    return Math.min(8, Math.max(0.5, share(points), share(state.run.cameras.map((c) => needed(c.center)))));
  };
  // Start behind and above the cameras, looking the way they look on average.
  const reset = () => {
    const ahead = [0, 0, 0];
    state.run.cameras.forEach(({ rotation: r }) => { ahead[0] += r[2]; ahead[1] += r[5]; ahead[2] += r[8]; });
    const around = Math.hypot(...ahead) < 0.3 * state.run.cameras.length; // cameras look all ways: no side is the front
    Object.assign(state, { yaw: around ? 0.7 : Math.atan2(-ahead[0], -ahead[2]) + 0.35, pitch: around ? 0.6 : 0.35, target: [0, 0, 0] });
    state.distance = fitting();
    draw();
  };
  const select = document.getElementById("view-run");
  select.addEventListener("change", () => { state.run = scene.runs.find((run) => run.name === select.value); build(); });
  document.querySelectorAll("[data-layer]").forEach((input) => input.addEventListener("change", build));
  sliders.point.addEventListener("input", draw);
  sliders.camera.addEventListener("input", build);
  document.getElementById("view-reset").addEventListener("click", () => { pick(null); reset(); });
  new ResizeObserver(draw).observe(canvas);

  window.trigpointViewer = {
    find(runName, cameraName) {
      const run = scene.runs.find((r) => r.name === runName);
      if (run) { state.run = run; select.value = runName; }
      build();
      const item = state.shown.find((s) => s.camera.name === cameraName && s.layer !== "truth");
      if (!item) return;
      pick(item);
      lookThrough(item);
      box.scrollIntoView({ behavior: "smooth", block: "center" });
    },
  };
  reset();
  build();
})();
