"use strict";
// The main table: sort, filter, search, choice of columns; the address keeps the view.
(function () {
  const tables = Array.from(document.querySelectorAll("table.sortable"), function (table) {
    const head = table.tHead.rows[0];
    const body = table.tBodies[0];
    return {
      section: table.closest(".board"),
      head: head,
      body: body,
      rows: Array.from(body.rows, function (row) {
        const text = (row.cells[0].textContent + " " + row.dataset.provider).toLowerCase();
        return { row: row, text: text, place: 0, keys: new Map() };
      }),
      usual: Array.from(head.cells, function (cell) { return !cell.hidden; }),
    };
  });
  if (!tables.length) return;
  const controls = document.getElementById("controls");
  const fields = ["search", "protocol", "weights", "size", "provider", "since"].filter(function (id) {
    return document.getElementById(id);
  });
  const field = function (id) { return document.getElementById(id); };
  const sorting = { key: "", down: true };
  const columns = new Map();

  tables.forEach(function (table) {
    table.rows.forEach(function (entry, index) { entry.place = index; });
    Array.from(table.head.cells).forEach(function (cell) {
      const span = cell.querySelector(".sort");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.textContent = span.textContent;
      button.title = "Sort by " + (cell.dataset.label || "model");
      span.replaceWith(button);
      button.addEventListener("click", function () {
        const key = cell.dataset.key;
        const first = cell.dataset.better === "high";
        sorting.down = sorting.key === key ? !sorting.down : first;
        sorting.key = key;
        sort();
        keep();
      });
      if (cell.dataset.label && !columns.has(cell.dataset.key)) {
        columns.set(cell.dataset.key, { label: cell.dataset.label, usual: !cell.hidden, shown: !cell.hidden });
      }
    });
  });

  columns.forEach(function (column, key) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = column.shown;
    box.addEventListener("change", function () { column.shown = box.checked; showColumns(); keep(); });
    column.box = box;
    label.append(box, document.createTextNode(column.label));
    field("columns").append(label);
  });

  function value(cell) {
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  }

  function sort() {
    tables.forEach(function (table) {
      const index = Array.from(table.head.cells).findIndex(function (cell) { return cell.dataset.key === sorting.key; });
      Array.from(table.head.cells).forEach(function (cell, place) {
        if (index < 0) return;
        cell.setAttribute("aria-sort", place !== index ? "none" : sorting.down ? "descending" : "ascending");
      });
      if (index < 0) return;
      const numeric = table.head.cells[index].classList.contains("num");
      const keyed = table.rows.map(function (entry) {
        if (!entry.keys.has(index)) {
          const cell = entry.row.cells[index];
          entry.keys.set(index, numeric ? value(cell) : cell.textContent.trim().toLowerCase());
        }
        return { entry: entry, key: entry.keys.get(index) };
      });
      const sign = sorting.down ? -1 : 1;
      keyed.sort(function (one, other) {
        if (one.key === null || other.key === null) {
          return (one.key === null) - (other.key === null) || one.entry.place - other.entry.place; // missing: always last
        }
        if (one.key < other.key) return -sign;
        if (one.key > other.key) return sign;
        return one.entry.place - other.entry.place;
      });
      table.body.append.apply(table.body, keyed.map(function (item) { return item.entry.row; }));
    });
  }

  function unsort() {
    sorting.key = "";
    tables.forEach(function (table) {
      table.body.append.apply(table.body, table.rows.map(function (entry) { return entry.row; }));
      Array.from(table.head.cells).forEach(function (cell, index) {
        cell.setAttribute("aria-sort", index === 1 && cell.classList.contains("score") ? "descending" : "none");
      });
    });
  }

  function filter() {
    const words = field("search").value.trim().toLowerCase().split(/\s+/);
    const range = field("size").value ? field("size").value.split("-").map(Number) : null;
    const since = field("since").value;
    const protocol = field("protocol") ? field("protocol").value : "";
    let shown = 0;
    let all = 0;
    tables.forEach(function (table) {
      table.section.hidden = Boolean(protocol) && table.section.dataset.protocol !== protocol;
      table.rows.forEach(function (entry) {
        const data = entry.row.dataset;
        const baseline = entry.row.classList.contains("baseline");
        const size = data.size === "" ? null : Number(data.size);
        let fits = words.every(function (word) { return entry.text.includes(word); });
        if (baseline) {
          fits = fits && field("baselines").checked;
        } else {
          fits = fits && (!field("weights").value || data.weights === field("weights").value);
          fits = fits && (!range || (size !== null && size >= range[0] && size < range[1]));
          fits = fits && (!field("provider").value || data.provider === field("provider").value);
          fits = fits && (!since || data.date >= since);
        }
        entry.row.hidden = !fits;
        if (!table.section.hidden) {
          all += 1;
          shown += fits ? 1 : 0;
        }
      });
    });
    field("shown").textContent = shown === all ? all + " rows" : shown + " of " + all + " rows";
  }

  function showColumns() {
    tables.forEach(function (table) {
      Array.from(table.head.cells).forEach(function (cell, index) {
        const column = columns.get(cell.dataset.key);
        if (!column || cell.hidden === !column.shown) return;
        cell.hidden = !column.shown;
        table.rows.forEach(function (entry) { entry.row.cells[index].hidden = !column.shown; });
      });
    });
    columns.forEach(function (column) { column.box.checked = column.shown; });
  }

  function keep() {
    const view = new URLSearchParams();
    fields.forEach(function (id) { if (field(id).value) view.set(id, field(id).value); });
    if (!field("baselines").checked) view.set("baselines", "no");
    if (sorting.key) view.set("sort", (sorting.down ? "-" : "") + sorting.key);
    const changed = [];
    columns.forEach(function (column, key) {
      if (column.shown !== column.usual) changed.push((column.shown ? "" : "-") + key);
    });
    if (changed.length) view.set("columns", changed.join(","));
    const text = view.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  }

  function restore() {
    if (location.hash && !location.hash.includes("=")) return; // a footnote, not a view
    const view = new URLSearchParams(location.hash.slice(1));
    fields.forEach(function (id) { field(id).value = view.get(id) || ""; });
    field("baselines").checked = view.get("baselines") !== "no";
    columns.forEach(function (column) { column.shown = column.usual; });
    (view.get("columns") || "").split(",").forEach(function (word) {
      const column = columns.get(word.replace(/^-/, ""));
      if (column) column.shown = !word.startsWith("-");
    });
    const wanted = view.get("sort") || "";
    if (wanted) {
      sorting.down = wanted.startsWith("-");
      sorting.key = wanted.replace(/^-/, "");
      sort();
    } else if (sorting.key) {
      unsort();
    }
    showColumns();
    filter();
  }

  fields.forEach(function (id) {
    field(id).addEventListener("input", function () { filter(); keep(); });
  });
  field("baselines").addEventListener("change", function () { filter(); keep(); });
  field("reset").addEventListener("click", function () {
    history.replaceState(null, "", location.pathname + location.search);
    restore();
  });
  controls.addEventListener("submit", function (event) { event.preventDefault(); });
  document.addEventListener("click", function (event) {
    const menu = controls.querySelector(".menu");
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", function (event) {
    const menu = controls.querySelector(".menu");
    if (event.key === "Escape" && menu.open) { menu.open = false; menu.querySelector("summary").focus(); }
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      field("search").focus();
    }
  });
  window.addEventListener("hashchange", restore);
  controls.hidden = false;
  restore();
})();
