// What the events of GET /v1/live come to (docs/edge.md, "Live"). No document, no clock.

const MOST_REQUESTS = 200;
const MOST_DEAD_LETTERS = 100;
const COLUMNS = ["answered", "failed", "cached", "cost_nanousd", "p50_ms", "p95_ms"];

/** The state after an event; null before the first snapshot. */
export function after(state, event, data) {
  if (event === "snapshot") return data;
  if (event !== "update" || state === null) return state;
  return {
    ...state,
    ...data,
    series: joined(state.series, data.series, state.window_s),
    requests: added(state.requests, data.requests, MOST_REQUESTS),
    dead_letters: added(state.dead_letters, data.dead_letters, MOST_DEAD_LETTERS),
  };
}

function added(known, more, most) {
  if (!more || more.length === 0) return known;
  const last = known.length ? known[known.length - 1].n : 0;
  return known.concat(more.filter((entry) => entry.n > last)).slice(-most);
}

/** The newer seconds take the place of the same ones; seconds that neither tells of are empty. */
function joined(known, more, windowS) {
  if (!more) return known;
  const last = Math.max(lastOf(known), lastOf(more));
  const from = last - windowS + 1;
  const series = { from_s: from };
  for (const column of COLUMNS) {
    const empty = column.endsWith("_ms") ? null : 0;
    series[column] = Array.from({ length: windowS }, (_, i) => at(more, column, from + i) ?? at(known, column, from + i) ?? empty);
  }
  return series;
}

const lastOf = (series) => series.from_s + series.answered.length - 1;
const at = (series, column, second) => series[column][second - series.from_s];
