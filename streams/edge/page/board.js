// The figures and tables of one state.

import { $, fill, put } from "/page/dom.js";
import { ago, clock, count, dollars, duration, exactDollars, percent, rate, words } from "/page/format.js";

const DEAD_SHOWN = 8;
const CIRCUIT = { closed: ["✓ closed", "good"], half_open: ["◐ half open", "warn"], open: ["✕ open", "bad"] };
const n = (text, title) => ({ text, kind: "n", title });

export function showFigures(state) {
  const { minute, spend } = state;
  put($("rate"), rate(minute.requests_per_s));
  const failed = minute.answered ? minute.failed / minute.answered : null;
  put($("rate-aside"), minute.failed ? `${percent(failed)} failed` : `${count(minute.answered)} in a minute`);
  $("rate-aside").classList.toggle("bad", minute.failed > 0);
  put($("p50"), duration(minute.p50_ms));
  put($("p50-aside"), "half are within");
  put($("p95"), duration(minute.p95_ms));
  put($("p95-aside"), `p99 ${duration(minute.p99_ms)}`);
  money($("hour"), spend.hour_nanousd);
  const unpriced = spend.day_unpriced_calls ? `, ${count(spend.day_unpriced_calls)} unpriced` : "";
  put($("hour-aside"), `${spend.partial ? "over " : ""}${dollars(spend.day_nanousd)} in 24 h${unpriced}`);
  put($("hits"), minute.cache_asked ? percent(minute.cache_served / minute.cache_asked) : "–");
  put($("hits-aside"), minute.cache_asked ? `${count(minute.cache_served)} of ${count(minute.cache_asked)} in a minute` : "not asked in a minute");
  money($("saved"), spend.day_avoided_nanousd);
  put($("saved-aside"), `${count(spend.day_cache_hits)} hits`);
  $("quiet").hidden = state.requests.length > 0 || spend.day_calls > 0;
}

function money(node, nanousd) {
  put(node, dollars(nanousd));
  node.title = exactDollars(nanousd);
}

export function showTables(state) {
  const everybody = state.tenant === null;
  const now = Date.parse(state.at);
  for (const th of document.querySelectorAll("[data-loads]")) th.hidden = !everybody;
  fill($("providers").tBodies[0], state.health, (row) => row.deployment, (row) => {
    const [text, kind] = CIRCUIT[row.circuit] ?? [row.circuit, ""];
    const why = row.down_since ? `, ${words(row.opened_by ?? "")} for ${ago(row.down_since, now)}` : row.limited ? ", rate limited" : "";
    return [
      { text: row.deployment, head: true },
      { text: text + why, kind: row.limited && kind === "good" ? "warn" : kind },
      n(percent(row.success_rate)),
      n(duration(row.p50_ms)),
      n(duration(row.p95_ms)),
      { ...n(count(row.in_flight)), hidden: !everybody },
      { ...n(percent(row.headroom)), hidden: !everybody },
    ];
  });
  spent($("models"), state.spend.by_model);
  spent($("tenants"), state.spend.by_tenant);
  $("tenants-panel").hidden = !everybody;
  $("lag-panel").hidden = state.lag === null;
  const waiting = (state.lag ?? []).toSorted((one, other) => other.records - one.records);
  fill($("lag").tBodies[0], waiting, (row) => `${row.group} ${row.topic}`, (row) => [
    { text: row.group, head: true },
    { text: row.topic },
    { text: row.records ? count(row.records) : "none", kind: row.records > 1000 ? "n warn" : "n" },
  ]);
  fill($("dead").tBodies[0], state.dead_letters.toReversed().slice(0, DEAD_SHOWN), (row) => row.n, (row) => [
    { text: clock(row.seen_at), title: row.seen_at },
    { text: `${row.topic}[${row.partition}]@${row.offset}`, head: true },
    { text: row.stage },
    { text: words(row.reason) },
    { text: row.message, kind: "message" },
  ]);
  $("dead").hidden = state.dead_letters.length === 0;
  $("dead-none").hidden = state.dead_letters.length > 0;
  const more = state.dead_letters.length - DEAD_SHOWN;
  $("dead-more").hidden = more <= 0;
  put($("dead-more"), `${count(more)} before these: penstock consume dead-letters shows all.`);
}

function spent(table, rows) {
  fill(table.tBodies[0], rows, (row) => row.name ?? "\u0000rest", (row) => [
    { text: row.name ?? "all others", head: true },
    n(count(row.calls)),
    n(count(row.cache_hits)),
    n(dollars(row.cost_nanousd), exactDollars(row.cost_nanousd)),
  ]);
}

/** The newest requests, `most` of them, that have all the words of `filter`. `open(entry)` is called for the one that is chosen. */
export function showRequests(entries, { filter, most, everybody, open }) {
  const wanted = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const has = (entry) => {
    const text = [entry.request_id, entry.tenant, entry.deployment, entry.model, entry.status, entry.cache, entry.error, entry.task_kind].join(" ").toLowerCase();
    return wanted.every((word) => text.includes(word));
  };
  const shown = entries.filter(has).slice(-most).reverse();
  document.querySelector("[data-tenant]").hidden = !everybody;
  fill($("requests").tBodies[0], shown, (row) => row.n, (row) => [
    { text: clock(row.answered_at), title: row.answered_at },
    { text: row.request_id.slice(-12), title: row.request_id, head: true, press: () => open(row) },
    { text: row.tenant, hidden: !everybody },
    { text: row.deployment ?? "–", title: `asked for ${row.model}, ${words(row.task_kind)}` },
    { text: row.error && row.status === "error" ? words(row.error) : row.status, kind: row.status === "ok" ? "good" : row.status === "fallback" ? "warn" : "bad" },
    { text: row.cache === "none" ? "–" : row.cache },
    n(duration(row.latency_ms)),
    n(row.input_tokens == null ? "–" : `${count(row.input_tokens)} → ${count(row.output_tokens)}`),
    n(dollars(row.cost_nanousd), exactDollars(row.cost_nanousd)),
  ]);
  $("requests-none").hidden = shown.length > 0;
  put($("requests-none"), entries.length ? "None of the last requests has that." : "None yet.");
}
