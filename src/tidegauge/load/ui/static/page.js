// Asks for the data once a second while somebody looks, and shows it: charts by charts.js, tables as they come.
// Rows over time are asked for from a settled one on, which must come back as it was: otherwise the run is another.

import { Chart } from "./charts.js";

const EVERY_MS = 1000;
// A row may still change for some seconds, until every worker has reported.
const UNSETTLED = 16;
const LINES_MAX = 8;
const VERDICTS = { pass: "pass", fail: "fail", undecided: "undecided", not_measured: "not measured" };

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
const isFramed = window !== window.top;

function follow() {
  const chosen = localStorage.theme;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = (chosen ? chosen === "dark" : prefersDark) ? "dark" : "light";
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
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
  const since = new URLSearchParams();
  for (const axis of Object.keys(kept)) {
    const at = settledAt(kept[axis]);
    if (at >= 0) since.set(axis, kept[axis][at].t_s);
  }
  const answer = await fetch(`./tidegauge/data?${since}`, { cache: "no-store" });
  if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
  const data = await answer.json();
  const grown = Object.keys(kept).map((axis) => [axis, extended(kept[axis], data[axis])]);
  if (grown.some(([, rows]) => rows === null)) {
    for (const axis of Object.keys(kept)) kept[axis] = [];
    return ask();
  }
  for (const [axis, rows] of grown) kept[axis] = rows;
  return data;
}

function serverCharts(rows) {
  const last = rows.at(-1) ?? {};
  const names = Object.keys(last);
  return SERVER.map(({ title, unit, fits, ending, factor }) => ({
    title, unit,
    lines: names.filter((name) => fits.test(name) && rows.some((row) => Number.isFinite(row[name]))).slice(0, LINES_MAX)
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

function cell(column, value) {
  if (column.key === "verdict" && value in VERDICTS) {
    const made = element("td");
    made.append(element("span", VERDICTS[value], `chip ${value}`));
    return made;
  }
  return element("td", typeof value === "number" ? value.toLocaleString("en") : value, column.className);
}

function section(table) {
  const made = element("section");
  made.id = `table-${table.key}`;
  const head = element("h2", table.title);
  const link = element("a", "CSV");
  link.href = `./tidegauge/csv/${table.key}`;
  link.download = "";
  head.append(" ", link);
  made.append(head);
  if (!table.rows.length) {
    made.append(element("p", "Nothing measured yet.", "empty"));
    return made;
  }
  const grid = element("table");
  const titles = grid.createTHead().insertRow();
  const columns = table.columns.map(({ key, title }) => (
    { key, title, className: table.rows.some((row) => typeof row[key] === "number") ? "number" : key }
  ));
  for (const { title, className } of columns) titles.append(element("th", title, className));
  const body = grid.createTBody();
  for (const row of table.rows) body.insertRow().append(...columns.map((column) => cell(column, row[column.key])));
  const frame = element("div", undefined, "scroller");
  frame.tabIndex = 0;
  frame.append(grid);
  made.append(frame);
  return made;
}

let shown = "";
const scroller = (id) => byId(id)?.querySelector(".scroller");

function showTables(tables) {
  const told = JSON.stringify(tables);
  if (told === shown) return; // what a person has selected stays selected
  shown = told;
  const across = [...document.querySelectorAll("#tables section")].map(({ id }) => [id, scroller(id)?.scrollLeft]);
  byId("tables").replaceChildren(...tables.map(section));
  for (const [id, left] of across) if (left) scroller(id)?.scrollTo(left, 0);
}

function show(data) {
  byId("verdict").textContent = VERDICTS[data.verdict];
  byId("verdict").className = `chip ${data.verdict}`;
  byId("state").textContent = data.host ? `${data.state}, ${data.host}` : data.state;
  byId("stale").hidden = true;
  draw();
  if (!isFramed) showTables(data.tables); // Locust shows them in tabs of their own
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
follow();
addEventListener("storage", follow);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
addEventListener("resize", draw);
byId("window").addEventListener("change", draw);
look();
