// Keeps pages current and adds small comforts. Every page works without it.
(() => {
  "use strict";

  const CALM_MS = 60_000; // how often a page asks when nobody is looking closely
  const KEEN_MS = 5_000; // just after the reader came back or moved
  const KEEN_POLLS = 12;
  const MISSED_BEFORE_STALE = 2;

  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const live = () => document.getElementById("live");

  // ---- Polling: each [data-poll] element has hx-get and hx-trigger="refresh" --------------------
  let keenLeft = 0;
  let timer = 0;
  let missed = 0;
  let lastAnswer = new Date();

  const pollables = () => all("[data-poll]");

  function plan() {
    clearTimeout(timer);
    if (document.hidden || !pollables().length) return;
    timer = setTimeout(poll, keenLeft > 0 ? KEEN_MS : CALM_MS);
  }

  function poll() {
    if (keenLeft > 0) keenLeft -= 1;
    for (const element of pollables()) element.dispatchEvent(new CustomEvent("refresh"));
    plan();
  }

  function wake() {
    const wasCalm = keenLeft === 0;
    keenLeft = KEEN_POLLS;
    if (wasCalm) plan();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return clearTimeout(timer);
    keenLeft = KEEN_POLLS;
    poll();
  });
  window.addEventListener("focus", wake);
  let moved = 0;
  document.addEventListener("pointermove", () => {
    if (Date.now() - moved < 30_000) return;
    moved = Date.now();
    wake();
  }, { passive: true });

  function showStale() {
    const time = lastAnswer.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    for (const note of all("[data-stale]")) {
      note.hidden = missed < MISSED_BEFORE_STALE;
      const words = note.querySelector("[data-stale-words]") ?? note;
      words.textContent = `Last update ${time}, reconnecting`;
    }
  }

  function answered(event) {
    if (!event.target.closest?.("[data-poll]")) return;
    const response = event.detail?.ctx?.response;
    // A page that has since been closed to us (signed out, deleted) is not swapped into this one.
    if ((response?.status ?? 0) >= 400 || response?.raw?.redirected) {
      event.preventDefault();
      failed(event);
      return;
    }
    missed = 0;
    lastAnswer = new Date();
    showStale();
  }

  function failed(event) {
    if (!event.target.closest?.("[data-poll]")) return;
    missed += 1;
    showStale();
  }

  // ---- Changes of state are said once, and counted in the title and on the tab ------------------
  const statesNow = () => new Map(all("[data-check-name]").map((row) => [row.id, [row.dataset.checkName, row.dataset.state]]));
  const words = { up: "is up", down: "is down", degraded: "is slow", unknown: "has no data", paused: "is paused" };
  let before = new Map();

  function announce() {
    const now = statesNow();
    const said = [];
    for (const [id, [name, state]] of now) {
      const old = before.get(id);
      if (old && old[1] !== state && words[state]) said.push(`${name} ${words[state]}`);
    }
    before = now;
    if (said.length && live()) live().textContent = `${said.join(". ")}.`;
  }

  const plainTitle = document.title;
  const iconLink = document.querySelector('link[rel="icon"]');
  const iconUp = iconLink?.getAttribute("href");

  function countDown() {
    const counters = all("[data-down-count]");
    if (!counters.length) return;
    // The fragment that was swapped last knows better than the frame around it.
    const down = Number(counters[counters.length - 1].dataset.downCount);
    document.title = down > 0 ? `(${down}) ${plainTitle}` : plainTitle;
    const wanted = down > 0 ? iconLink.dataset.down : iconUp;
    if (iconLink && iconLink.getAttribute("href") !== wanted) iconLink.setAttribute("href", wanted);
  }

  // ---- Relative times -------------------------------------------------------------------------
  function length(seconds) {
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  }

  function tellTimes() {
    const now = Date.now();
    for (const element of all("time[data-relative]")) {
      const seconds = Math.round((now - Date.parse(element.dateTime)) / 1000);
      const size = length(Math.abs(seconds));
      const text = Math.abs(seconds) < 5 ? "just now" : seconds > 0 ? `${size} ago` : `in ${size}`;
      if (element.textContent !== text) element.textContent = text;
    }
    for (const element of all("time[data-countdown]")) {
      const seconds = Math.round((Date.parse(element.dateTime) - now) / 1000);
      element.textContent = seconds > 0 ? `in ${length(seconds)}` : "now";
    }
  }

  // ---- Menus close on Escape and on a click elsewhere --------------------------------------------
  document.addEventListener("click", (event) => {
    for (const menu of all("details.menu-box[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of all("details.menu-box[open]")) {
      menu.open = false;
      menu.querySelector("summary")?.focus();
    }
  });

  // ---- Copy buttons --------------------------------------------------------------------------------
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    if (live()) live().textContent = "Copied.";
    button.textContent = "Copied";
  });
  for (const button of all("[data-copy]")) button.hidden = !navigator.clipboard;

  function refreshed() {
    announce();
    countDown();
    tellTimes();
  }

  document.addEventListener("htmx:after:request", answered);
  document.addEventListener("htmx:error", failed);
  document.addEventListener("htmx:after:swap", refreshed);

  before = statesNow();
  countDown();
  tellTimes();
  setInterval(() => { if (!document.hidden) tellTimes(); }, 1000);
  document.querySelector("[data-focus]")?.focus();
  plan();
})();
