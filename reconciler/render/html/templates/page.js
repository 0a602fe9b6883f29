"use strict";
// The page is whole without this script, which adds: times in the reader's zone, filters, and sorting by column.

for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime()) || at.getTimezoneOffset() === 0) continue;
  const local = document.createElement("span");
  local.className = "local";
  local.textContent = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
    timeZoneName: "short",
  }).format(at);
  const utc = document.createElement("span");
  utc.className = "utc";
  const here = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
  utc.textContent = time.textContent.replace(`${here} `, "");
  time.replaceChildren(local, " ", utc);
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const text = (cell) => (cell ? cell.innerText || cell.textContent : "").trim();
const key = (cell) => {
  const time = cell.querySelector("time[datetime]");
  return time ? time.dateTime : text(cell);
};
const value = (cell) => (cell.querySelector("code, .badge, span, i") || cell).textContent.trim();

function filters(form) {
  const rows = [...document.getElementById(form.dataset.filters).querySelectorAll("tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const selects = [...form.querySelectorAll("select")].map((select) => {
    const columns = select.dataset.columns.split(",").map(Number);
    const held = rows.map((row) => new Set(columns.map((at) => value(row.cells[at]))));
    const options = [...new Set(held.flatMap((one) => [...one]))].sort(collator.compare);
    select.append(...options.map((option) => new Option(option, option)));
    return { select, held };
  });
  const search = form.querySelector("input");
  const output = form.querySelector("output");
  function apply() {
    const wanted = search.value.toLowerCase();
    let shown = 0;
    rows.forEach((row, at) => {
      const fits = texts[at].includes(wanted) &&
        selects.every(({ select, held }) => select.selectedIndex <= 0 || held[at].has(select.value));
      row.hidden = !fits;
      shown += fits;
    });
    output.textContent = `${shown.toLocaleString()} of ${rows.length.toLocaleString()} listed rows`;
  }
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}

function sortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => [key(row.cells[at]), row]);
      keyed.sort(([one], [other]) => (down ? -1 : 1) * collator.compare(one, other));
      body.append(...keyed.map(([, row]) => row));
    });
  });
}

document.querySelectorAll("form[data-filters]").forEach(filters);
document.querySelectorAll("[data-sortable] table").forEach(sortable);
