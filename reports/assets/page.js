(function () {
"use strict";
// Conveniences only: every word and figure of the page is there without this.
var doc = document, root = doc.documentElement;
function one(selector, within) { return (within || doc).querySelector(selector); }
function all(selector, within) { return Array.prototype.slice.call((within || doc).querySelectorAll(selector)); }

// Theme: the reader's system decides until the reader does. Storage may be refused on local files.
var themes = ["auto", "light", "dark"];
function remembered() { try { return localStorage.getItem("assay-theme"); } catch (e) { return null; } }
function remember(name) { try { localStorage.setItem("assay-theme", name); } catch (e) { /* then only for now */ } }
function setTheme(name) { root.setAttribute("data-theme", name); one("[data-theme-name]").textContent = name; }
one("[data-tools]").hidden = false;
if (themes.indexOf(remembered()) > 0) setTheme(remembered());
all("[data-act]").forEach(function (button) {
  button.addEventListener("click", function () {
    var act = button.getAttribute("data-act");
    if (act === "theme") {
      var next = themes[(themes.indexOf(root.getAttribute("data-theme")) + 1) % themes.length];
      remember(next); setTheme(next);
    } else if (act === "print") window.print();
    else download(act);
  });
});

// Contents: the section being read.
var links = all(".toc a");
var places = links.map(function (link) { return doc.getElementById(link.getAttribute("href").slice(1)); });
var waiting = false;
function spy() {
  waiting = false;
  var current = 0;
  places.forEach(function (place, i) { if (place && place.getBoundingClientRect().top < innerHeight * 0.3) current = i; });
  if (innerHeight + scrollY >= root.scrollHeight - 4) current = links.length - 1;
  links.forEach(function (link, i) {
    if (i === current) link.setAttribute("aria-current", "location"); else link.removeAttribute("aria-current");
  });
}
addEventListener("scroll", function () { if (!waiting) { waiting = true; requestAnimationFrame(spy); } }, {passive: true});
spy();

// A link into a closed case opens it.
function reveal() {
  var target = location.hash && doc.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") target.open = true;
}
addEventListener("hashchange", reveal);
reveal();

// Charts: read by pointer and by arrow keys; a <title> does for those without a script.
var tip = one("#tip"), shown = null, pointer = 0;
function hide() { if (shown) shown.classList.remove("on"); shown = null; tip.hidden = true; }
function show(mark, byKey) {
  hide();
  shown = mark; mark.classList.add("on"); tip.textContent = "";
  mark.told.split("\n").forEach(function (row, i) {
    var parts = row.split("\t"), name = doc.createElement(i ? "span" : "b");
    name.textContent = parts[0] + (i ? " " : "");
    tip.appendChild(name);
    if (i) {
      var value = doc.createElement("span");
      value.className = "v"; value.textContent = parts[1] || ""; tip.appendChild(value);
    }
  });
  tip.hidden = false;
  var box = mark.getBoundingClientRect(), x = box.left + box.width / 2 + 14, y = box.top + Math.min(18, box.height / 2);
  if (box.width > 260 && !byKey) x = pointer + 14;
  if (x + tip.offsetWidth > innerWidth - 8) x = Math.max(8, x - tip.offsetWidth - 28);
  y = Math.max(8, Math.min(y, innerHeight - 8 - tip.offsetHeight));
  tip.style.transform = "translate(" + Math.round(x) + "px," + Math.round(y) + "px)";
}
all(".plot").forEach(function (plot) {
  var marks = all(".hit", plot), at = -1;
  if (!marks.length) return;
  marks.forEach(function (mark, i) {
    var title = one("title", mark);
    mark.told = title ? title.textContent : "";
    if (title) mark.removeChild(title);
    mark.addEventListener("pointermove", function (event) { pointer = event.clientX; at = i; show(mark); });
  });
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", "Chart. Arrow keys read its values.");
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", function (event) {
    var key = event.key;
    if (key === "ArrowRight" || key === "ArrowDown") at = Math.min(marks.length - 1, at + 1);
    else if (key === "ArrowLeft" || key === "ArrowUp") at = Math.max(0, at - 1);
    else if (key === "Home") at = 0;
    else if (key === "End") at = marks.length - 1;
    else { if (key === "Escape") hide(); return; }
    event.preventDefault();
    show(marks[at], true);
  });
});
addEventListener("scroll", hide, {passive: true});

// The long table: sort, filter, download what is shown.
var table = one("table[data-sortable]");
var rows = table ? all("tbody tr", table) : [];
function value(row, column) {
  var cell = row.cells[column], sort = cell.getAttribute("data-s");
  return sort === null ? cell.textContent.trim().toLowerCase() : parseFloat(sort);
}
function unknown(v) { return v === "" || v !== v; }
if (table) {
  all("thead th", table).forEach(function (head, column) {
    var button = doc.createElement("button"), mark = doc.createElementNS("http://www.w3.org/2000/svg", "svg");
    var path = doc.createElementNS("http://www.w3.org/2000/svg", "path");
    button.type = "button"; button.textContent = head.textContent;
    mark.setAttribute("viewBox", "0 0 8 10"); mark.setAttribute("class", "dir"); mark.setAttribute("aria-hidden", "true");
    path.setAttribute("d", "M4 1l3 4H1z"); path.setAttribute("fill", "currentColor");
    mark.appendChild(path); button.appendChild(mark);
    head.textContent = ""; head.appendChild(button);
    button.addEventListener("click", function () {
      var up = head.getAttribute("aria-sort") !== "ascending";
      all("thead th", table).forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      // What is unknown stays last, whichever way the rest is sorted; numbers before words.
      rows.sort(function (a, b) {
        var x = value(a, column), y = value(b, column);
        if (unknown(x) || unknown(y)) return unknown(x) - unknown(y);
        if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
        return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
      });
      var sorted = doc.createDocumentFragment();
      rows.forEach(function (row) { sorted.appendChild(row); });
      table.tBodies[0].appendChild(sorted);
    });
  });
  one("[data-filters]").hidden = false;
  var search = one("[data-search]"), picks = all("[data-pick]"), count = one("[data-count]");
  var filter = function () {
    var wanted = search.value.toLowerCase(), found = 0;
    rows.forEach(function (row) {
      var match = !wanted || row.textContent.toLowerCase().indexOf(wanted) > -1;
      picks.forEach(function (pick) {
        var cell = row.cells[parseInt(pick.getAttribute("data-pick"), 10)];
        match = match && (!pick.value || cell.textContent.trim() === pick.value);
      });
      row.hidden = !match;
      if (match) found += 1;
    });
    count.textContent = found.toLocaleString("en-US") + " of " + rows.length.toLocaleString("en-US") + " rows";
  };
  search.addEventListener("input", filter);
  picks.forEach(function (pick) { pick.addEventListener("change", filter); });
  filter();
}
function download(kind) {
  var names = all("thead th", table).map(function (head) { return head.getAttribute("data-k"); });
  var picked = rows.filter(function (row) { return !row.hidden; }).map(function (row) {
    return all("th,td", row).map(function (cell) {
      var sort = cell.getAttribute("data-s");
      return sort === null ? cell.textContent.trim() : parseFloat(sort);
    });
  });
  var text;
  if (kind === "json") {
    text = JSON.stringify(picked.map(function (row) {
      var record = {};
      names.forEach(function (name, i) { record[name] = row[i]; });
      return record;
    }), null, 1);
  } else {
    // A spreadsheet must not take text for a formula.
    var quoted = function (v) {
      if (typeof v === "number") return String(v);
      return '"' + (/^[=+\-@\t\r]/.test(v) ? "'" + v : v).replace(/"/g, '""') + '"';
    };
    text = "\ufeff" + [names].concat(picked).map(function (row) { return row.map(quoted).join(","); }).join("\r\n");
  }
  var place = URL.createObjectURL(new Blob([text], {type: kind === "json" ? "application/json" : "text/csv"}));
  var link = doc.createElement("a");
  link.href = place; link.download = (table.getAttribute("data-sortable") || "cases") + "." + kind; link.click();
  setTimeout(function () { URL.revokeObjectURL(place); }, 1000);
}
})();
