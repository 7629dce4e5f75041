// Opens the live view and keeps the page as it tells.

import { showFigures, showRequests, showTables } from "/page/board.js";
import { makeCharts } from "/page/charts.js";
import { $, el, keepRoles, put } from "/page/dom.js";
import { clock } from "/page/format.js";
import { showLineage, wireLineage } from "/page/lineage.js";
import { after } from "/page/state.js";
import { Live } from "/page/stream.js";

const KEY = "penstock-key";
const ANNOUNCED_EVERY_MS = 10_000;

let key = sessionStorage.getItem(KEY) ?? "";
let tenant = "";
let live = null;
let state = null;
let held = null;
let drawCharts = null;
let countdown = 0;
let announcedAt = 0;
let down = null;

function open() {
  live?.close();
  const path = tenant ? `/v1/live?tenant=${encodeURIComponent(tenant)}` : "/v1/live";
  live = new Live(path, key, { open: opened, event: told, lost, denied });
}

function told(name, data) {
  state = after(state, name, data);
  if (!document.hidden) requestAnimationFrame(draw);
}

function draw() {
  if (state === null) return;
  $("board").hidden = false;
  drawCharts ??= makeCharts({ rate: $("chart-rate"), latency: $("chart-latency"), spend: $("chart-spend") });
  showFigures(state);
  showTables(state);
  drawRequests();
  drawCharts(state);
  drawWho();
  announceCircuits();
  if (document.body.dataset.state === "live") put($("link-text"), `live, ${clock(state.at)}`);
}

function drawRequests() {
  const most = $("more").getAttribute("aria-pressed") === "true" ? 200 : 30;
  const open = (entry) => showLineage(entry, key);
  showRequests(held ?? state.requests, { filter: $("filter").value, most, everybody: state.tenant === null, open });
}

function drawWho() {
  $("who").hidden = false;
  $("forget").hidden = !key;
  const chooses = state.tenant === null || tenant !== "";
  $("tenant-choice").hidden = !chooses;
  put($("tenant-name"), chooses ? "" : state.tenant);
  if (!chooses) return;
  const names = state.tenant === null ? state.spend.by_tenant.map((row) => row.name).filter((name) => name !== null) : [tenant];
  const select = $("tenant");
  const wanted = ["", ...names.toSorted()];
  if ([...select.options].map((option) => option.value).join("\n") === wanted.join("\n")) return;
  select.replaceChildren(...wanted.map((name) => el("option", { value: name }, name || "all")));
  select.value = tenant;
}

function opened() {
  clearInterval(countdown);
  if (document.body.dataset.state === "lost") announce("Connected again.");
  document.body.dataset.state = "live";
  $("lost").hidden = true;
  $("entry").hidden = true;
  if (key) sessionStorage.setItem(KEY, key);
}

function lost(reason, waitMs) {
  if (document.body.dataset.state !== "lost") announce(`Connection lost: ${reason}.`);
  document.body.dataset.state = "lost";
  put($("link-text"), "connection lost");
  $("lost").hidden = false;
  const until = Date.now() + waitMs;
  const since = state ? ` What you see is from ${clock(state.at)}.` : "";
  const tick = () => put($("lost-text"), `${sentence(reason)}${since} Trying again in ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s.`);
  clearInterval(countdown);
  countdown = setInterval(tick, 1000);
  tick();
}

function denied(reason) {
  clearInterval(countdown);
  document.body.dataset.state = "denied";
  put($("link-text"), "not open");
  $("lost").hidden = true;
  $("board").hidden = true;
  $("who").hidden = true;
  $("entry").hidden = false;
  put($("entry-error"), key ? sentence(reason) : "");
  sessionStorage.removeItem(KEY);
  state = held = null;
  $("key").value = "";
  $("key").focus();
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;

/** Told to who listens: connection and circuits, never a figure. */
function announce(text) {
  announcedAt = Date.now();
  $("announcer").textContent = text;
}

function announceCircuits() {
  const now = new Set(state.health.filter((row) => row.circuit === "open").map((row) => row.deployment));
  const before = down;
  if (before !== null && Date.now() - announcedAt < ANNOUNCED_EVERY_MS) return;
  down = now;
  if (before === null) return;
  const opened = [...now].filter((name) => !before.has(name));
  const closed = [...before].filter((name) => !now.has(name));
  const said = [opened.length && `Circuit open: ${opened.join(", ")}.`, closed.length && `No longer open: ${closed.join(", ")}.`].filter(Boolean);
  if (said.length) announce(said.join(" "));
}

function wire() {
  for (const table of document.querySelectorAll("table.stacked")) keepRoles(table);
  wireLineage();
  $("entry").addEventListener("submit", (event) => {
    event.preventDefault();
    key = $("key").value.trim();
    put($("entry-error"), "");
    put($("link-text"), "connecting");
    open();
    $("content").focus();
  });
  $("forget").addEventListener("click", () => {
    live?.close();
    key = tenant = "";
    denied("");
  });
  $("retry").addEventListener("click", () => live?.retry());
  $("tenant").addEventListener("change", (event) => {
    tenant = event.target.value;
    held = null;
    open();
  });
  $("pause").addEventListener("click", () => {
    held = held === null ? state.requests : null;
    $("pause").setAttribute("aria-pressed", String(held !== null));
    drawRequests();
  });
  $("more").addEventListener("click", () => {
    $("more").setAttribute("aria-pressed", String($("more").getAttribute("aria-pressed") !== "true"));
    drawRequests();
  });
  $("filter").addEventListener("input", () => state && drawRequests());
  document.addEventListener("visibilitychange", () => !document.hidden && requestAnimationFrame(draw));
}

wire();
open();
