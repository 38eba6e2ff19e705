// Line charts as SVG, all on one time axis: a pointer over one shows the same moment in all of them.
// A long run is thinned to what a pixel can show, keeping the least and the most of each: no spike is lost.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 200;
const EDGE = { top: 8, right: 10, bottom: 22, left: 48 };
const TIMES_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

function svg(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function figure(value) {
  if (!Number.isFinite(value)) return "–";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return Number(value.toFixed(digits)).toLocaleString("en");
}

function moment(seconds) {
  const whole = Math.round(seconds);
  const two = (n) => String(n).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  return whole < 3600 ? `${minutes}:${two(whole % 60)}` : `${Math.floor(whole / 3600)}:${two(minutes)}:${two(whole % 60)}`;
}

function linear(values) {
  const most = Math.max(...values, 0);
  const rough = (most || 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((n) => n * power >= rough);
  const top = step * Math.ceil((most || 1) / step);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, n) => n * step);
  return { ticks, share: (value) => value / top };
}

function logarithmic(values) {
  const low = Math.floor(Math.log10(Math.min(...values, 1e9)));
  const high = Math.ceil(Math.log10(Math.max(...values, 1e-9)));
  const [from, to] = high > low ? [low, high] : values.length ? [low, low + 1] : [0, 3];
  const within = to - from > 2 ? [1] : [1, 2, 5];
  const ticks = [];
  for (let power = from; power < to; power += 1) ticks.push(...within.map((n) => n * 10 ** power));
  ticks.push(10 ** to);
  return { ticks, share: (value) => (Math.log10(value) - from) / (to - from) };
}

// [x, y] points of which each pixel keeps its first, least, most and last; null breaks the line.
function thinned(points) {
  const out = [];
  let pixel = [];
  const flush = () => {
    if (pixel.length > 4) {
      const ys = pixel.map(([, y]) => y);
      const wanted = new Set([0, ys.indexOf(Math.min(...ys)), ys.indexOf(Math.max(...ys)), pixel.length - 1]);
      pixel = pixel.filter((_, n) => wanted.has(n));
    }
    out.push(...pixel);
    pixel = [];
  };
  for (const point of points) {
    if (point === null || (pixel.length && Math.floor(point[0]) !== Math.floor(pixel[0][0]))) flush();
    if (point === null) out.push(null);
    else pixel.push(point);
  }
  flush();
  return out;
}

function path(points) {
  let isDown = false;
  let drawn = "";
  points.forEach((point, n) => {
    if (point === null) { isDown = false; return; }
    const isAlone = !isDown && !points[n + 1];
    drawn += `${isDown ? "L" : "M"}${point[0].toFixed(1)},${point[1].toFixed(1)}${isAlone ? "h0.1" : ""}`;
    isDown = true;
  });
  return drawn;
}

export class Chart {
  constructor(title, onPoint) {
    this.root = document.createElement("figure");
    const caption = document.createElement("figcaption");
    this.heading = document.createElement("h2");
    this.legend = document.createElement("ul");
    caption.append(this.heading, this.legend);
    this.heading.textContent = title;
    this.plot = svg("svg", { role: "img", height: HEIGHT, width: "100%" });
    this.root.append(caption, this.plot);
    this.at = null;
    const tell = (event) => onPoint(this.timeOf(event.clientX - this.plot.getBoundingClientRect().left));
    this.plot.addEventListener("pointermove", tell);
    this.plot.addEventListener("pointerdown", tell);
    this.plot.addEventListener("pointerleave", () => onPoint(null));
  }

  show(spec, span) {
    this.spec = spec;
    this.span = span;
    this.width = this.plot.clientWidth || 600;
    const rows = spec.rows.filter((row) => row.t_s >= span[0]);
    const isDrawn = (value) => Number.isFinite(value) && (!spec.isLog || value > 0);
    const drawn = spec.lines.map((line) => rows.map((row) => [row.t_s, line.value(row)]));
    const range = [];
    for (const line of drawn) {
      let least = Infinity;
      let most = -Infinity;
      for (const [, value] of line) {
        if (isDrawn(value)) { least = Math.min(least, value); most = Math.max(most, value); }
      }
      if (most >= least) range.push(least, most);
    }
    this.scale = spec.isLog ? logarithmic(range) : linear(range);
    this.plot.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.plot.replaceChildren(...this.grid());
    drawn.forEach((line, n) => {
      const points = line.map(([t, value]) => (isDrawn(value) ? [this.x(t), this.y(value)] : null));
      const { isError, isDashed } = spec.lines[n];
      const className = `line ${isError ? "errors" : `c${n}`}${isDashed ? " dashed" : ""}`;
      this.plot.append(svg("path", { class: className, d: path(thinned(points)), "data-name": spec.lines[n].name }));
    });
    if (!range.length) {
      this.plot.append(svg("text", { class: "empty", x: this.width / 2, y: HEIGHT / 2 }, "Nothing measured yet"));
    }
    this.cursor = svg("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom });
    this.plot.append(this.cursor);
    this.point(this.at);
  }

  // The moment under the pointer, or the newest.
  point(at) {
    this.at = at;
    if (!this.spec) return;
    const { rows, lines, unit, title } = this.spec;
    let row = rows.at(-1);
    if (at !== null) {
      row = rows.reduce((best, one) => (Math.abs(one.t_s - at) < Math.abs(best.t_s - at) ? one : best), rows[0]);
    }
    const isShown = at !== null && row !== undefined;
    this.cursor.setAttribute("visibility", isShown ? "visible" : "hidden");
    if (isShown) for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.x(row.t_s));
    this.legend.replaceChildren(...lines.map((line, n) => {
      const entry = document.createElement("li");
      entry.className = line.isError ? "errors" : `c${n}`;
      if (line.isDashed) entry.classList.add("dashed");
      entry.textContent = `${line.name} ${row ? figure(line.value(row)) : "–"}`;
      return entry;
    }));
    const moments = document.createElement("li");
    moments.className = "when";
    moments.textContent = `${unit}${row && isShown ? ` at ${moment(row.t_s)}` : ""}`;
    this.legend.append(moments);
    this.plot.setAttribute("aria-label", `${title}: ${[...this.legend.children].map((li) => li.textContent).join(", ")}`);
  }

  grid() {
    const right = this.width - EDGE.right;
    const parts = this.scale.ticks.flatMap((tick) => {
      const y = this.y(tick);
      return [
        svg("line", { class: "grid", x1: EDGE.left, x2: right, y1: y, y2: y }),
        svg("text", { class: "y", x: EDGE.left - 6, y: y + 4 }, figure(tick)),
      ];
    });
    const [from, to] = this.span;
    const places = Math.max(Math.floor(this.width / 90), 2);
    const step = TIMES_S.find((n) => (to - from) / n <= places) ?? TIMES_S.at(-1);
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
      parts.push(svg("text", { class: "x", x: Math.min(this.x(t), this.width - 18), y: HEIGHT - 6 }, moment(t)));
    }
    return parts;
  }

  x(t) {
    const [from, to] = this.span;
    return EDGE.left + ((t - from) / (to - from)) * (this.width - EDGE.left - EDGE.right);
  }

  y(value) {
    return HEIGHT - EDGE.bottom - this.scale.share(value) * (HEIGHT - EDGE.top - EDGE.bottom);
  }

  timeOf(x) {
    const [from, to] = this.span ?? [0, 1];
    return from + ((x - EDGE.left) / (this.width - EDGE.left - EDGE.right)) * (to - from);
  }
}
