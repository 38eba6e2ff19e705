// A table that a person can search and sort, of however many rows: as many are shown as one can read.

const ROWS_SHOWN = 50;
const ROWS_MORE = 500;
const VERDICTS = { pass: "pass", fail: "fail", undecided: "undecided", not_measured: "not measured" };
const NOTHING = "–";

export function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function chip(made, verdict) {
  made.textContent = VERDICTS[verdict] ?? verdict;
  made.className = verdict in VERDICTS ? `chip ${verdict}` : "";
  return made;
}

function written(value) {
  return typeof value === "number" ? value.toLocaleString("en", { maximumSignificantDigits: 15 }) : value;
}

// Numbers as numbers, and what was not measured behind everything, whichever way it is sorted.
function compared(a, b, isDown) {
  if (a === b) return 0;
  if (a === NOTHING || b === NOTHING) return a === NOTHING ? 1 : -1;
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return isDown ? -order : order;
}

export class Grid {
  constructor({ key, title }) {
    this.root = element("section");
    this.root.id = `table-${key}`;
    const head = element("header");
    const link = element("a", "CSV");
    link.href = `./tidegauge/csv/${key}`;
    link.download = "";
    this.search = element("input");
    this.search.type = "search";
    this.search.placeholder = "Filter";
    this.search.setAttribute("aria-label", `Filter ${title}`);
    this.search.addEventListener("input", () => this.draw());
    head.append(element("h2", title), link, this.search);
    this.frame = element("div", undefined, "scroller");
    this.frame.tabIndex = 0;
    this.note = element("p", undefined, "note");
    this.more = element("button", "Show more");
    this.more.type = "button";
    this.more.addEventListener("click", () => { this.shown += ROWS_MORE; this.draw(); });
    this.root.append(head, this.frame, this.note, this.more);
    this.shown = ROWS_SHOWN;
    this.told = "";
    this.sorted = null;
  }

  show(table) {
    const told = JSON.stringify(table);
    if (told === this.told) return; // what a person has selected stays selected
    this.told = told;
    this.table = table;
    this.draw();
  }

  wanted() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = this.table.rows.filter((row) => {
      const names = Object.values(row).filter((value) => typeof value === "string"); // no figure is looked for
      const text = names.map((value) => VERDICTS[value] ?? value).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (this.sorted === null) return rows;
    const { key, isDown } = this.sorted;
    return rows.toSorted((a, b) => compared(a[key], b[key], isDown));
  }

  draw() {
    const rows = this.wanted();
    const all = this.table.rows;
    this.search.hidden = all.length < 10;
    const columns = this.table.columns.filter(({ key }) => all.some((row) => row[key] !== NOTHING && row[key] !== ""))
      .map(({ key, title }) => (
        { key, title, className: all.some((row) => typeof row[key] === "number") ? "number" : key }
      ));
    const grid = element("table");
    const titles = grid.createTHead().insertRow();
    for (const column of columns) titles.append(this.heading(column));
    const body = grid.createTBody();
    for (const row of rows.slice(0, this.shown)) {
      body.insertRow().append(...columns.map(({ key, className }) => {
        const cell = element("td", undefined, className);
        if (key === "verdict" && row[key] in VERDICTS) cell.append(chip(element("span"), row[key]));
        else cell.textContent = written(row[key]);
        return cell;
      }));
    }
    const left = this.frame.scrollLeft;
    this.frame.replaceChildren(grid);
    this.frame.scrollLeft = left;
    const hidden = rows.length - this.shown;
    this.more.hidden = hidden <= 0;
    if (!all.length) this.note.textContent = "Nothing measured yet.";
    else if (!rows.length) this.note.textContent = `None of ${written(all.length)} rows has these words.`;
    else this.note.textContent = hidden > 0 ? `${written(hidden)} more rows are not shown.` : "";
  }

  heading({ key, title, className }) {
    const made = element("th", undefined, className);
    const button = element("button", title);
    button.type = "button";
    if (this.sorted?.key === key) made.ariaSort = this.sorted.isDown ? "descending" : "ascending";
    button.addEventListener("click", () => {
      // Of a figure the largest is wanted first; a third click is the order in which it came.
      const first = className === "number";
      if (this.sorted?.key !== key) this.sorted = { key, isDown: first };
      else this.sorted = this.sorted.isDown === first ? { key, isDown: !first } : null;
      this.draw();
    });
    made.append(button);
    return made;
  }
}
