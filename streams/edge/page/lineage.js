// One request, from what was asked to what was paid: GET /v1/requests/{id}.

import { $, el } from "/page/dom.js";
import { clock, count, duration, exactDollars, words } from "/page/format.js";

let asking = 0;

/** Opens the dialog and fills it. `key` may be empty. */
export async function showLineage(entry, key) {
  const mine = ++asking;
  const dialog = $("lineage");
  $("lineage-title").textContent = entry.request_id;
  fill(el("p", { class: "muted" }, "Looking in the log …"));
  if (!dialog.open) dialog.showModal();
  $("lineage-title").focus();
  const nodes = await looked(entry, key);
  if (mine === asking && dialog.open) fill(...nodes);
}

export function wireLineage() {
  const dialog = $("lineage");
  $("lineage-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

const fill = (...nodes) => $("lineage-body").replaceChildren(...nodes);

async function looked(entry, key) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(`/v1/requests/${encodeURIComponent(entry.request_id)}`, { headers, cache: "no-store" });
  } catch {
    return [told("The server cannot be reached. Close this, and open the request again once the page is live.")];
  }
  if (response.status === 404 || response.status === 403) {
    const why = `This key does not open it. A request is opened by a key of its tenant, ${entry.tenant}, with the role read, as long as the log keeps it: a week.`;
    return [told(why), known(entry)];
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    return [told(problem.detail ?? `The server answered with ${response.status}.`), known(entry)];
  }
  return shown(await response.json(), entry);
}

const told = (text) => el("p", { class: "error", role: "alert" }, text);
const known = (entry) =>
  facts([
    ["Status", words(entry.status)],
    ["Deployment", entry.deployment ?? "none"],
    ["Latency", duration(entry.latency_ms)],
    ["Cost", exactDollars(entry.cost_nanousd)],
  ]);

function shown(page, entry) {
  const lineage = page.lineage ?? [];
  const records = (kind) => lineage.filter((seen) => seen.kind === kind).map((seen) => seen.record);
  const [request] = records("request");
  const [decision] = records("decision");
  const steps = [
    asked(request, decision, entry),
    decision && classified(decision),
    decision && cached(decision),
    decision && routed(decision),
    ...calls(records("call"), records("cost")),
    ...records("dead_letter").map((letter) => step("Dead letter", `${words(letter.reason)} at ${letter.stage}: ${letter.message}`)),
    ...unpaid(records("cost")),
    answered(page),
  ];
  const nodes = [el("ol", { class: "steps" }, ...steps.filter(Boolean))];
  if (lineage.length === 0) nodes.unshift(told("Its records are no longer in the log, or not yet: this is its answer alone."));
  if (page.explanation?.length) nodes.push(el("details", {}, el("summary", {}, "As penstock explain tells it"), pre(page.explanation.join("\n"))));
  if (lineage.length) nodes.push(el("details", {}, el("summary", {}, `All ${lineage.length} records`), pre(JSON.stringify(lineage, null, 2))));
  return nodes;
}

const pre = (text) => el("pre", { tabindex: "0" }, text);

function asked(request, decision, entry) {
  const size = request ? request.messages?.length || request.input?.length || 0 : null;
  return step("Asked", null, [
    ["Tenant", request?.tenant ?? entry.tenant],
    ["Model", request?.model ?? entry.model],
    ["Operation", words(request?.operation ?? decision?.operation ?? entry.operation)],
    size === null ? null : [request.messages?.length ? "Messages" : "Texts", count(size)],
    decision ? ["Received", clock(decision.received_at)] : null,
    decision ? ["Deadline", clock(decision.deadline)] : null,
  ]);
}

function classified(decision) {
  return step("Classified", null, [
    ["Task", `${words(decision.task_kind)} (${(decision.task_confidence ?? 0).toFixed(2)})`],
    ["Complexity", decision.complexity],
    ["Language", decision.language === "und" ? "not determined" : decision.language],
    ["Input", `about ${count(decision.input_tokens_estimate)} tokens`],
    decision.sensitivity?.length ? ["Holds", decision.sensitivity.map(words).join(", ")] : null,
  ]);
}

function cached(decision) {
  const { cached: kept } = decision;
  if (kept) {
    const alike = kept.similarity == null ? "the same request" : `a similar one (${kept.similarity.toFixed(2)})`;
    return step("Cache", `Answered: ${alike} was answered by ${kept.deployment} at ${clock(kept.stored_at)}.`);
  }
  return step("Cache", decision.cache_key ? "No answer was kept." : "Not asked.");
}

function routed(decision) {
  if (decision.rejection) return step("Routed", `Rejected, ${words(decision.rejection.kind)}: ${decision.rejection.message}`);
  const scores = new Map((decision.scores ?? []).map((scored) => [scored.deployment, scored]));
  const chosen = (decision.candidates ?? []).map((candidate, i) => ({ ...scores.get(candidate.deployment), ...candidate, place: `${i + 1}` }));
  const places = new Set(chosen.map((each) => each.deployment));
  const others = [...scores.values()].filter((scored) => !places.has(scored.deployment)).map((scored) => ({ ...scored, place: "" }));
  const rows = [...chosen, ...others];
  const table =
    rows.length === 0
      ? null
      : el(
          "div",
          { class: "scroll", tabindex: "0", role: "group", "aria-label": "Scores" },
          el(
            "table",
            {},
            el("thead", {}, el("tr", {}, ...["", "Deployment", "Score", "At most", "Made of"].map((name, i) => el("th", { scope: "col", class: i === 2 || i === 3 ? "n" : null }, name || el("span", { class: "visually-hidden" }, "Place"))))),
            el("tbody", {}, ...rows.map(scoreRow)),
          ),
        );
  return step("Routed", `By ${decision.policy}${decision.arm ? `, arm ${decision.arm}` : ""}.`, [], table);
}

function scoreRow(each) {
  const parts = Object.entries(each.parts ?? {}).map(([name, value]) => `${words(name)} ${Number(value.toPrecision(3))}`);
  const why = each.lack ? `left out, ${words(each.lack)}: ${each.why ?? ""}` : parts.join(", ");
  const score = each.score == null ? "–" : each.score.toFixed(4);
  const bound = each.cost_bound_nanousd == null ? "–" : exactDollars(each.cost_bound_nanousd);
  return el(
    "tr",
    {},
    el("td", {}, each.place),
    el("th", { scope: "row" }, each.deployment),
    el("td", { class: "n" }, score),
    el("td", { class: "n" }, bound),
    el("td", { class: "muted" }, why),
  );
}

function calls(reports, costs) {
  const byCall = grouped(reports);
  return [...byCall.entries()].map(([id, told], i) => {
    const ended = told.find((report) => report.phase === "COMPLETED" || report.phase === "FAILED");
    const began = told.find((report) => report.started_at)?.started_at;
    const failure = ended?.failure;
    const outcome = ended
      ? failure
        ? `Failed, ${words(failure.kind)}${failure.http_status ? ` (HTTP ${failure.http_status})` : ""}: ${failure.message}`
        : "Completed."
      : "Begun; nothing more was heard yet.";
    return step(
      `Call ${told[0].attempt ?? i + 1}`,
      outcome,
      [
        ["Deployment", told[0].deployment],
        began ? ["Begun", clock(began)] : null,
        ended?.latency_ms == null ? null : ["Took", duration(ended.latency_ms)],
        ended?.first_token_ms == null ? null : ["First token", duration(ended.first_token_ms)],
        ended?.usage ? ["Tokens", `${count(ended.usage.input_tokens)} in, ${count(ended.usage.output_tokens)} out`] : null,
        ...costs.filter((cost) => cost.call_id === id).map((cost) => ["Cost", flagged(cost)]),
      ],
      null,
      failure ? "bad" : "",
    );
  });
}

function grouped(reports) {
  const found = new Map();
  for (const report of reports) found.set(report.call_id, [...(found.get(report.call_id) ?? []), report]);
  return found;
}

const flagged = (cost) => [exactDollars(cost.cost_nanousd), cost.estimated && "estimated", cost.wasted && "wasted"].filter(Boolean).join(", ");

/** Cost events of no call: an answer from the cache. */
function unpaid(costs) {
  return costs
    .filter((cost) => cost.call_id == null)
    .map((cost) => step("Cost", `${exactDollars(cost.cost_nanousd)}, ${exactDollars(cost.avoided_nanousd ?? 0)} saved.`));
}

function answered(page) {
  const { response } = page;
  if (!response) return step("Open", `No answer yet: ${words(page.status)}.`);
  const text = response.error ? `${words(response.error.kind)}: ${response.error.message}` : null;
  const sum = page.cost ? page.cost.nanousd : response.cost_nanousd;
  return step(
    "Answered",
    text,
    [
      ["Status", words(response.status)],
      ["At", clock(response.answered_at)],
      ["By", response.deployment ?? "nobody"],
      ["Calls", count(response.attempts)],
      ["Cost in all", exactDollars(sum)],
    ],
    null,
    response.error ? "bad" : "good",
  );
}

function step(title, text, pairs = [], more = null, kind = "") {
  return el("li", { class: kind }, el("h3", {}, title), text ? el("p", {}, text) : null, facts(pairs), more);
}

function facts(pairs) {
  const told = pairs.filter(Boolean);
  return told.length ? el("dl", { class: "facts" }, ...told.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value ?? "–")))) : null;
}
