"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const floats = (text) => (text === undefined ? null : new Float32Array(bytes(text).buffer));
  const xy = floats(data.xy);
  const rows = new Int32Array(bytes(data.rows).buffer);
  const colors = bytes(data.colors);
  const scores = floats(data.scores), scale = floats(data.scale), angle = floats(data.angle_deg);
  const F = data.F;
  const LOUPE_PX = 36; // side of what a loupe shows, in pixels of the original

  const views = [...document.querySelectorAll(".view")].map((box, side) => ({
    side, box, image: box.querySelector("img"), canvas: box.querySelector("canvas"),
    loupe: document.querySelectorAll(".loupe")[side], size: data.sizes[side], still: null,
  }));
  const link = document.querySelector("#link line");
  const fact = (name, text) => {
    const cell = document.querySelector(`[data-fact="${name}"]`);
    if (cell) cell.textContent = text;
  };
  const pressed = (id) => document.getElementById(id)?.getAttribute("aria-pressed") === "true";
  let current = -1, held = false, from = 0;

  // Figures are as wide as makes both pictures equally high.
  views.forEach((view) => {
    view.box.parentElement.style.flex = `${view.size[0] / view.size[1]} 1 0`;
    view.image.width = view.size[0];
    view.image.height = view.size[1];
  });

  const point = (index, side) => [xy[4 * index + 2 * side], xy[4 * index + 2 * side + 1]];
  // Original pixels (centre of the first at 0, 0) to pixels of the canvas, whose origin is a corner, and back.
  const toCanvas = (view, [x, y]) => [
    ((x + 0.5) * view.canvas.width) / view.size[0], ((y + 0.5) * view.canvas.height) / view.size[1],
  ];
  const fromEvent = (view, event) => {
    const box = view.image.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * view.size[0] - 0.5,
      ((event.clientY - box.top) / box.height) * view.size[1] - 0.5,
    ];
  };

  function nearest(side, [x, y]) {
    let best = -1, least = Infinity;
    for (let i = 0; i < rows.length; i++) {
      const dx = xy[4 * i + 2 * side] - x, dy = xy[4 * i + 2 * side + 1] - y, distance = dx * dx + dy * dy;
      if (distance < least) { least = distance; best = i; }
    }
    return best;
  }

  function cross(pen, [x, y], reach) {
    pen.beginPath();
    pen.moveTo(x - reach, y - reach); pen.lineTo(x + reach, y + reach);
    pen.moveTo(x - reach, y + reach); pen.lineTo(x + reach, y - reach);
    pen.stroke();
  }

  // The crosses of all matches are drawn once for each size of the window.
  function still(view) {
    const { width, height } = view.canvas;
    if (view.still && view.still.width === width && view.still.height === height) return view.still;
    view.still = Object.assign(document.createElement("canvas"), { width, height });
    const pen = view.still.getContext("2d");
    pen.lineWidth = 1.2 * devicePixelRatio;
    for (let i = 0; i < rows.length; i++) {
      pen.strokeStyle = `rgb(${colors[3 * i]},${colors[3 * i + 1]},${colors[3 * i + 2]})`;
      cross(pen, toCanvas(view, point(i, view.side)), 2.6 * devicePixelRatio);
    }
    return view.still;
  }

  // Line a x + b y + c = 0 in the image of `side` of the match's other end.
  function epipolarLine(side, index) {
    const [x, y] = point(index, 1 - side);
    const at = (row) => (side === 1
      ? F[3 * row] * x + F[3 * row + 1] * y + F[3 * row + 2]
      : F[row] * x + F[3 + row] * y + F[6 + row]);
    return [at(0), at(1), at(2)];
  }

  function distancePx(side, index) {
    const [a, b, c] = epipolarLine(side, index), [x, y] = point(index, side);
    return Math.abs(a * x + b * y + c) / Math.hypot(a, b);
  }

  function drawEpipolarLine(view, pen) {
    const [a, b, c] = epipolarLine(view.side, current), [width, height] = view.size;
    const ends = Math.abs(b) * width > Math.abs(a) * height
      ? [-1, width].map((x) => [x, -(a * x + c) / b])
      : [-1, height].map((y) => [-(b * y + c) / a, y]);
    if (!ends.flat().every(Number.isFinite)) return;
    pen.strokeStyle = "#ffd400";
    pen.lineWidth = 1.6 * devicePixelRatio;
    pen.beginPath();
    ends.forEach((end) => pen.lineTo(...toCanvas(view, end)));
    pen.stroke();
  }

  function drawView(view) {
    const box = view.image.getBoundingClientRect();
    view.canvas.width = Math.round(box.width * devicePixelRatio);
    view.canvas.height = Math.round(box.height * devicePixelRatio);
    if (!view.canvas.width || !view.canvas.height) return;
    const pen = view.canvas.getContext("2d");
    if (pressed("crosses")) pen.drawImage(still(view), 0, 0);
    if (current < 0) return;
    if (F && pressed("epipolar")) drawEpipolarLine(view, pen);
    const [x, y] = toCanvas(view, point(current, view.side)), unit = devicePixelRatio;
    for (const [color, width] of [["#000", 5], ["#fff", 2.4]]) {
      pen.strokeStyle = color;
      pen.lineWidth = width * unit;
      pen.beginPath();
      pen.arc(x, y, 9 * unit, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  function drawLoupe(view) {
    const pen = view.loupe.getContext("2d"), side = view.loupe.width;
    pen.clearRect(0, 0, side, side);
    if (current < 0 || !view.image.complete) return;
    const [x, y] = point(current, view.side);
    const sx = view.image.naturalWidth / view.size[0], sy = view.image.naturalHeight / view.size[1];
    pen.imageSmoothingEnabled = false;
    pen.drawImage(view.image, (x + 0.5 - LOUPE_PX / 2) * sx, (y + 0.5 - LOUPE_PX / 2) * sy,
      LOUPE_PX * sx, LOUPE_PX * sy, 0, 0, side, side);
    for (const [color, width] of [["#000", 3.5], ["#fff", 1.5]]) {
      pen.strokeStyle = color;
      pen.lineWidth = width;
      cross(pen, [side / 2, side / 2], 7);
    }
  }

  function drawLink() {
    const visible = current >= 0;
    link.style.visibility = visible ? "visible" : "hidden";
    if (!visible) return;
    const origin = document.getElementById("views").getBoundingClientRect();
    views.forEach((view, end) => {
      const box = view.image.getBoundingClientRect(), [x, y] = point(current, view.side);
      link.setAttribute(`x${end + 1}`, box.left - origin.left + ((x + 0.5) / view.size[0]) * box.width);
      link.setAttribute(`y${end + 1}`, box.top - origin.top + ((y + 0.5) / view.size[1]) * box.height);
    });
  }

  function writeFacts() {
    if (current < 0) return;
    const place = (side) => point(current, side).map((value) => value.toFixed(1)).join(", ");
    fact("row", rows[current]);
    fact("xy0", place(0));
    fact("xy1", place(1));
    if (scores) {
      fact("score", scores[current].toPrecision(5));
      fact("scale", `× ${scale[current].toPrecision(4)}`);
      fact("angle", `${angle[current].toFixed(0)}°`);
    }
    if (F) [0, 1].forEach((side) => fact(`distance${side}`, `${distancePx(side, current).toFixed(2)} px`));
    Object.assign(document.body.dataset, { row: rows[current], from: String(from), held: String(held) });
  }

  function draw() {
    views.forEach(drawView);
    views.forEach(drawLoupe);
    drawLink();
    writeFacts();
  }

  function select(index, side) {
    if (index === current && side === from) return;
    current = index;
    from = side;
    draw();
  }

  views.forEach((view) => {
    view.image.addEventListener("load", draw);
    view.image.src = data.pictures[view.side];
    const follow = (event) => { if (!held && rows.length) select(nearest(view.side, fromEvent(view, event)), view.side); };
    view.box.addEventListener("pointermove", follow);
    view.box.addEventListener("pointerdown", (event) => {
      held = !held;
      if (held && rows.length) select(nearest(view.side, fromEvent(view, event)), view.side);
      draw();
    });
  });
  document.querySelectorAll(".tabs button").forEach((button) => button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!pressed(button.id)));
    draw();
  }));
  document.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !rows.length) return;
    event.preventDefault();
    held = true;
    select((Math.max(current, 0) + step + rows.length) % rows.length, from);
  });
  new ResizeObserver(draw).observe(document.getElementById("views"));
  Object.assign(document.body.dataset, { ready: "true", matches: String(rows.length) });
})();
