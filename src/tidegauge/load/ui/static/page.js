// Asks for the data once a second while somebody looks, and shows it: charts by charts.js, tables by grid.js. A tab of
// Locust's shows one view of it, as the address says.
// Rows over time are asked for from a settled one on, which must come back as it was: otherwise the run is another.

import { Chart } from "./charts.js";
import { Grid, chip } from "./grid.js";

const EVERY_MS = 1000;
// A row may still change for some seconds, until every worker has reported.
const UNSETTLED = 16;
const LINES_MAX = 8;

// Where there is no figure there is no point of the line: null must not become 0.
const scaled = (value, factor) => (value === null || value === undefined ? NaN : value * factor);

const LATENCY = {
  title: "Latency from due time", unit: "ms", isLog: true,
  lines: [
    { name: "p50", value: (row) => scaled(row.p50_due_us, 0.001) },
    { name: "p99", value: (row) => scaled(row.p99_due_us, 0.001) },
  ],
};
const RATE = {
  title: "Offered against achieved", unit: "/s",
  lines: [
    { name: "offered", value: (row) => row.offered_per_s, isDashed: true },
    { name: "achieved", value: (row) => row.achieved_per_s },
    { name: "errors", value: (row) => row.errors_per_s, isError: true },
  ],
};
// The server's columns share a chart where they share a unit; the first that fits takes a column.
const SERVER = [
  { title: "Server CPU", unit: "%", fits: /_share$/, ending: "_share", factor: 100 },
  { title: "Server memory", unit: "MiB", fits: /_bytes$/, ending: "_bytes", factor: 1 / 2 ** 20 },
  { title: "Server loop lag and pauses", unit: "ms", fits: /_ms$/, ending: "_ms", factor: 1 },
  { title: "Server queues", unit: "", fits: /^queues\..*length$/, ending: ".length", factor: 1 },
  { title: "Server handles", unit: "", fits: /^(fds|threads|sockets|client_sockets)$/, ending: "", factor: 1 },
];

const byId = (id) => document.getElementById(id);
const kept = { series: [], server: [] };
const charts = new Map();
const grids = new Map();
const isFramed = window !== window.top;
const view = new URLSearchParams(location.search).get("view");
const hasCharts = view === null || view === "charts";

function follow() {
  const chosen = localStorage.theme;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = (chosen ? chosen === "dark" : prefersDark) ? "dark" : "light";
}

function settledAt(rows) {
  return rows.length > UNSETTLED ? rows.length - 1 - UNSETTLED : -1;
}

function extended(rows, fresh) {
  const at = settledAt(rows);
  if (at < 0) return fresh;
  if (!fresh.length || JSON.stringify(fresh[0]) !== JSON.stringify(rows[at])) return null;
  return rows.slice(0, at).concat(fresh);
}

async function ask() {
  const since = new URLSearchParams(view === null ? {} : { view });
  for (const axis of Object.keys(kept)) {
    const at = settledAt(kept[axis]);
    if (at >= 0) since.set(axis, kept[axis][at].t_s);
  }
  const answer = await fetch(`./tidegauge/data?${since}`, { cache: "no-store" });
  if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
  const data = await answer.json();
  if (!hasCharts) return data;
  const grown = Object.keys(kept).map((axis) => [axis, extended(kept[axis], data[axis])]);
  if (grown.some(([, rows]) => rows === null)) {
    for (const axis of Object.keys(kept)) kept[axis] = [];
    return ask();
  }
  for (const [axis, rows] of grown) kept[axis] = rows;
  return data;
}

// Of many queues those that come and go: what only fills is a history, and says nothing of being late.
function named(names, rows) {
  if (names.length <= LINES_MAX) return names;
  const falls = (name) => {
    const told = rows.map((row) => row[name]).filter(Number.isFinite);
    return told.reduce((sum, value, n) => sum + Math.max((told[n - 1] ?? 0) - value, 0), 0);
  };
  return names.map((name) => [falls(name), name]).sort(([a], [b]) => b - a).slice(0, LINES_MAX).map(([, name]) => name)
    .sort();
}

function serverCharts(rows) {
  const last = rows.at(-1) ?? {};
  const names = Object.keys(last);
  return SERVER.map(({ title, unit, fits, ending, factor }) => ({
    title, unit,
    lines: named(names.filter((name) => fits.test(name) && rows.some((row) => Number.isFinite(row[name]))), rows)
      .map((name) => ({
        name: name.slice(0, name.length - ending.length).replace(/^queues\./, "").replaceAll("_", " "),
        value: (row) => scaled(row[name], factor),
      })),
  })).filter(({ lines }) => lines.length);
}

function draw() {
  const length = Number(byId("window").value);
  const ends = Object.values(kept).filter((rows) => rows.length).flatMap((rows) => [rows[0].t_s, rows.at(-1).t_s]);
  const end = Math.max(...ends, 1);
  const span = [length ? Math.max(end - length, Math.min(...ends)) : Math.min(...ends, end - 1), end];
  const specs = [{ ...LATENCY, rows: kept.series }, { ...RATE, rows: kept.series }]
    .concat(serverCharts(kept.server).map((spec) => ({ ...spec, rows: kept.server })));
  for (const [title, chart] of charts) {
    if (!specs.some((spec) => spec.title === title)) { chart.root.remove(); charts.delete(title); }
  }
  for (const spec of specs) {
    if (!charts.has(spec.title)) {
      const chart = new Chart(spec.title, (at) => charts.forEach((other) => other.point(at)));
      charts.set(spec.title, chart);
      byId("charts").append(chart.root);
    }
    charts.get(spec.title).show(spec, span);
  }
}

function showTables(tables) {
  for (const table of tables) {
    if (!grids.has(table.key)) {
      const grid = new Grid(table);
      grids.set(table.key, grid);
      byId("tables").append(grid.root);
    }
    grids.get(table.key).show(table);
  }
}

function show(data) {
  chip(byId("verdict"), data.verdict);
  byId("why").textContent = data.why;
  byId("state").textContent = data.host ? `${data.state}, ${data.host}` : data.state;
  byId("stale").hidden = true;
  if (hasCharts) draw();
  showTables(data.tables);
}

let answeredAt = null;

async function look() {
  if (!document.hidden) {
    try {
      show(await ask());
      answeredAt = new Date();
    } catch (error) {
      const since = answeredAt ? `What you see is of ${answeredAt.toLocaleTimeString()}.` : "";
      byId("stale").textContent = `The web UI does not answer (${error.message}). ${since}`;
      byId("stale").hidden = false;
    }
  }
  setTimeout(look, EVERY_MS);
}

document.documentElement.classList.toggle("framed", isFramed);
byId("window").closest("label").hidden = !hasCharts;
follow();
addEventListener("storage", follow);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
if (hasCharts) addEventListener("resize", draw);
byId("window").addEventListener("change", draw);
look();
