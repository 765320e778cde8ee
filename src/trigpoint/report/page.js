// Run selectors, sortable query table, layers of the drawn matches. The page reads well without it.
"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);

  const showPairs = (run) => {
    all("#pair-runs button").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.run === run)));
    all(".pair [data-run]").forEach((e) => e.classList.toggle("shown", e.dataset.run === run));
  };
  all("#pair-runs button").forEach((b) => b.addEventListener("click", () => showPairs(b.dataset.run)));
  if (byId("pair-runs")) showPairs(document.querySelector("#pair-runs button").dataset.run);
  all("[data-kind]").forEach((box) => box.addEventListener("change", () =>
    byId("pairs").classList.toggle(`hide-${box.dataset.kind}`, !box.checked)));

  const table = byId("query-table");
  if (!table) return;
  const bodies = [...table.tBodies];
  const showQueries = () => {
    const run = byId("query-run").value;
    const failedOnly = byId("query-failed").checked;
    bodies.forEach((body) => {
      body.hidden = body.dataset.run !== run;
      [...body.rows].forEach((row) => { row.hidden = failedOnly && row.dataset.localized === "1"; });
    });
  };
  byId("query-run").addEventListener("change", showQueries);
  byId("query-failed").addEventListener("change", showQueries);
  showQueries();

  const key = (row, column) => {
    const text = row.cells[column].textContent;
    const number = Number.parseFloat(text.replaceAll(",", ""));
    return column < 3 ? text : Number.isNaN(number) ? Infinity : number;
  };
  let order = 1;
  all("#query-table th").forEach((head, column) => head.addEventListener("click", () => {
    order = -order;
    bodies.forEach((body) => [...body.rows].sort((a, b) => {
      const [x, y] = [key(a, column), key(b, column)];
      return order * (x < y ? 1 : x > y ? -1 : 0);
    }).forEach((row) => body.append(row)));
  }));
  bodies.forEach((body) => body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && window.trigpointViewer) window.trigpointViewer.find(body.dataset.run, row.dataset.camera);
  }));
})();
