/* What a page can do besides where there is JavaScript: count down, tell its age, filter by name, and renew itself.
   Everything it shows is in the page without it. It talks to nobody but this site. */

const language = document.documentElement.lang;
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const OLD_AFTER = 120; // seconds; the page is made anew every 30
const POLL = 60; // seconds, where the stream cannot be had

function fromNow(instant) {
  const seconds = (instant - Date.now()) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(Math.trunc(seconds), "second");
}

/* Beside the time, never in its place: the time is what was promised. */
function beside(time) {
  let note = time.nextElementSibling;
  if (!note || !note.classList.contains("from-now")) {
    note = document.createElement("span");
    note.className = "from-now quiet";
    time.after(" ", note);
  }
  return note;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-countdown], time[data-age]")) {
    const text = `(${fromNow(Date.parse(time.dateTime))})`;
    const note = beside(time);
    if (note.textContent !== text) note.textContent = text;
  }
  const stale = document.getElementById("stale");
  if (stale) stale.hidden = (Date.now() - Date.parse(stale.dataset.asOf)) / 1000 < OLD_AFTER;
}

function fold(text) {
  return text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase().trim();
}

/* Filter the names of a list as they are typed. Groups without a hit go, groups with one open; nothing typed: as before. */
function filter(field) {
  const list = document.getElementById(field.dataset.filter);
  const said = document.getElementById("found");
  if (!list) return;
  const wanted = fold(field.value);
  let hits = 0;
  for (const group of list.querySelectorAll("details.group")) {
    let inGroup = 0;
    for (const name of group.querySelectorAll(".names li")) {
      const hit = !wanted || fold(name.textContent).includes(wanted);
      name.hidden = !hit;
      if (hit) inGroup += 1;
    }
    for (const heading of group.querySelectorAll(".state-word")) {
      heading.hidden = !heading.nextElementSibling.querySelector("li:not([hidden])");
    }
    for (const rest of group.querySelectorAll("details.rest")) {
      const some = Boolean(rest.querySelector("li:not([hidden])"));
      rest.hidden = !some;
      if (wanted && some) rest.open = true;
    }
    group.hidden = inGroup === 0;
    if (wanted && !("before" in group.dataset)) group.dataset.before = group.open ? "open" : "";
    if (wanted && inGroup) group.open = true;
    if (!wanted && "before" in group.dataset) {
      group.open = group.dataset.before === "open";
      delete group.dataset.before;
    }
    hits += inGroup;
  }
  said.textContent = !wanted ? "" : hits ? `${said.dataset.some} ${hits.toLocaleString(language)}` : said.dataset.none;
}

/* Where the focus is, in words that find the same place in the renewed part. */
function placeOf(element, part) {
  if (!part.contains(element)) return null;
  if (element.id) return (root) => root.ownerDocument.getElementById(element.id);
  const alike = (root) => [...root.querySelectorAll(element.tagName)];
  const key = element.closest("[data-key]");
  if (element.tagName === "SUMMARY" && key) {
    return (root) => [...root.querySelectorAll("[data-key]")]
      .find((one) => one.dataset.key === key.dataset.key)?.querySelector("summary");
  }
  const position = alike(part).indexOf(element);
  return (root) => alike(root)[position];
}

function takeOver(fresh) {
  let changed = false;
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.getElementById(part.id);
    if (!next || next.outerHTML === pristine.get(part.id)) continue;
    const open = new Map([...part.querySelectorAll("details[data-key]")].map((one) => [one.dataset.key, one.open]));
    const place = placeOf(document.activeElement, part);
    if (part.id !== "part-now") changed = true;
    pristine.set(part.id, next.outerHTML);
    const adopted = document.importNode(next, true);
    for (const one of adopted.querySelectorAll("details[data-key]")) {
      if (open.has(one.dataset.key)) one.open = open.get(one.dataset.key);
    }
    part.replaceWith(adopted);
    if (place) place(adopted)?.focus({ preventScroll: true });
  }
  const stale = fresh.getElementById("stale");
  if (stale) document.getElementById("stale")?.setAttribute("data-as-of", stale.dataset.asOf);
  document.title = fresh.title;
  for (const field of document.querySelectorAll("[data-filter]")) if (field.value) filter(field);
  tick();
  const news = document.getElementById("news");
  if (changed && news) {
    news.textContent = "";
    setTimeout(() => { news.textContent = news.dataset.text; }, 50);
  }
}

async function renew() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-cache" });
    if (answer.ok) takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    /* Away for now: the page says by itself how old it is. */
  }
}

function watch() {
  let polling = null;
  const poll = () => { polling ??= setInterval(renew, POLL * 1000); };
  const stream = new EventSource("/events");
  stream.addEventListener("edition", (event) => {
    // All readers hear at once; they come one after the other.
    const patience = Math.random() * Number(JSON.parse(event.data).spread) * 1000;
    setTimeout(renew, patience);
  });
  stream.addEventListener("open", () => { clearInterval(polling); polling = null; });
  stream.addEventListener("error", () => {
    poll();
    if (stream.readyState === EventSource.CLOSED) setTimeout(watch, (POLL + Math.random() * POLL) * 1000);
  });
}

const pristine = new Map([...document.querySelectorAll("[data-part]")].map((part) => [part.id, part.outerHTML]));
for (const field of document.querySelectorAll("[data-filter]")) {
  field.addEventListener("input", () => filter(field));
  field.form.addEventListener("submit", (event) => { event.preventDefault(); filter(field); });
}
tick();
setInterval(tick, 5000);
if (document.querySelector("[data-part]")) watch();
