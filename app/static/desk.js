// Keys and presence for the desk. Nothing depends on it: every key has a link or a button, and presence is on the page.
"use strict";

const OFF = "stormdesk-keys-off";
const FIELDS = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const typing = (element) => element.closest(FIELDS) !== null;
const all = (selector) => Array.from(document.querySelectorAll(selector));

function keysAreOff() {
  try {
    return localStorage.getItem(OFF) !== null;
  } catch {
    return false;
  }
}

// Moves along the rows of a list, as j and k do in many programs.
function step(by) {
  const rows = all("[data-row]");
  if (rows.length === 0) return;
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1);
  rows[next].focus();
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape" && typing(event.target)) {
    event.target.blur();
    return;
  }
  if (typing(event.target) || keysAreOff()) return;
  if (event.key === "j" || event.key === "k") {
    event.preventDefault();
    step(event.key === "j" ? 1 : -1);
    return;
  }
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (target === null) return;
  event.preventDefault();
  const folded = target.closest("details");
  if (folded !== null && target.tagName !== "SUMMARY") folded.open = true;
  if (target.tagName === "SUMMARY") target.parentElement.open = true;
  if (target.matches("a, button")) target.click();
  else {
    const field = target.tagName === "SUMMARY" ? target.parentElement.querySelector("textarea, input:not([type=hidden]), select") : target;
    (field ?? target).focus();
    (field ?? target).scrollIntoView({ block: "center" });
  }
}

// Who else has this case open, asked again and again while the page is to be seen.
async function watch(element) {
  if (document.visibilityState !== "visible") return;
  try {
    const answer = await fetch(element.dataset.presence, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const { others, version } = await answer.json();
    const names = element.querySelector("[data-names]");
    names.textContent = others.join(", ");
    element.hidden = others.length === 0;
    const changed = document.querySelector("[data-changed]");
    if (changed !== null) changed.hidden = String(version) === element.dataset.version;
  } catch {
    // Away for a moment; the next look tells.
  }
}

// A saved reply goes into the field it is for, after what stands there.
function fill(event) {
  const field = document.getElementById(event.target.dataset.fills);
  const chosen = event.target.selectedOptions[0];
  if (field === null || chosen === undefined || !chosen.dataset.words) return;
  field.value = field.value.trim() === "" ? chosen.dataset.words : `${field.value.trimEnd()}\n\n${chosen.dataset.words}`;
  field.focus();
}

document.addEventListener("keydown", press);
all("select[data-fills]").forEach((one) => one.addEventListener("change", fill));
all("input[data-keys]").forEach((box) => {
  box.checked = !keysAreOff();
  box.addEventListener("change", () => {
    try {
      if (box.checked) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, "1");
    } catch {
      // No storage: the keys stay on.
    }
  });
});
const presence = document.querySelector("[data-presence]");
if (presence !== null) {
  watch(presence);
  setInterval(() => watch(presence), 10_000);
}

// What is being typed, as it would go out: asked of the server, shown beside the form. The words are the server's.
function previewing(form) {
  const here = document.querySelector("[data-preview-here]");
  let waiting;
  let asked = 0;
  async function look() {
    const turn = ++asked;
    try {
      const answer = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      // What is not yet fit to go out comes back as a refusal that says what is missing.
      if (![200, 409, 422].includes(answer.status) || turn !== asked) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      here.replaceChildren(...page.body.childNodes);
      here.hidden = false;
    } catch {
      // Away for a moment; the next word asks again.
    }
  }
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(look, 1500); // it counts the audience, so not at every word
  });
  if (form.querySelector("textarea").value !== "") look();
}

// How long until a promised time; the time itself stays.
function count(element) {
  const minutes = Math.round((new Date(element.dateTime) - Date.now()) / 60000);
  const said = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" }).format(minutes, "minute");
  const beside = element.nextElementSibling?.matches("[data-left]") ? element.nextElementSibling : document.createElement("span");
  beside.dataset.left = "";
  beside.textContent = ` (${said})`;
  element.after(beside);
}

// A page that watches something go on loads that part again, while it is to be seen.
async function refresh(element) {
  if (document.visibilityState !== "visible" || element.contains(document.activeElement)) return;
  try {
    const answer = await fetch(element.dataset.from);
    if (!answer.ok) return;
    const newer = new DOMParser().parseFromString(await answer.text(), "text/html");
    element.replaceChildren(...newer.body.childNodes);
  } catch {
    // The next look tells.
  }
}

all("form[data-preview]").forEach(previewing);
all("time[data-countdown]").forEach((one) => {
  count(one);
  setInterval(count, 30000, one);
});
all("[data-refresh]").forEach((one) => setInterval(refresh, Number(one.dataset.refresh) * 1000, one));
