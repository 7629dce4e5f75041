// The document, touched only where something has changed. All text goes in as text.

export const $ = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes the rows of a table body those of `entries`, in their order, and keeps the rows that were there: focus stays where it is.
 * `cells(entry)` gives for each cell `text`, and if need be `kind` (a class), `title`, `head` (a row's heading), `press` (a button).
 */
export function fill(body, entries, key, cells) {
  const labels = [...body.parentElement.querySelectorAll("thead th")].map((th) => th.textContent);
  const names = entries.map((entry) => String(key(entry)));
  const wanted = new Set(names);
  const known = new Map();
  for (const row of [...body.rows]) {
    if (wanted.has(row.dataset.key)) known.set(row.dataset.key, row);
    else row.remove();
  }
  let place = body.firstElementChild;
  entries.forEach((entry, i) => {
    const row = known.get(names[i]) ?? el("tr", { role: "row", "data-key": names[i] });
    fillRow(row, cells(entry), labels);
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  });
}

function fillRow(row, cells, labels) {
  cells.forEach((cell, i) => {
    const td = row.children[i] ?? row.appendChild(newCell(cell));
    const text = cell.text ?? "";
    const label = labels[i] ?? "";
    put(cell.press ? td.firstElementChild : td, text);
    if (td.dataset.label !== label) td.dataset.label = label;
    if (td.className !== (cell.kind ?? "")) td.className = cell.kind ?? "";
    if (cell.title !== undefined && td.title !== cell.title) td.title = cell.title;
    if (cell.hidden !== undefined) td.hidden = cell.hidden;
  });
}

function newCell(cell) {
  const td = cell.head ? el("th", { scope: "row", role: "rowheader" }) : el("td", { role: "cell" });
  if (cell.press) td.append(el("button", { type: "button", class: "id", onclick: cell.press }));
  return td;
}

/** Tables that become cards on a narrow screen stay tables to who listens to them. */
export function keepRoles(table) {
  table.setAttribute("role", "table");
  for (const part of table.tHead ? [table.tHead, ...table.tBodies] : table.tBodies) part.setAttribute("role", "rowgroup");
  for (const row of table.rows) row.setAttribute("role", "row");
  for (const th of table.querySelectorAll("thead th")) th.setAttribute("role", "columnheader");
}
