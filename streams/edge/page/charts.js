// Three charts by uPlot, in the colours of the page.

import { dollars, duration, rate } from "/page/format.js";

const BIN_S = 5;
const HEIGHT = 150;
const TICKS_S = [60, 120, 300, 3600, 7200, 10_800, 21_600, 43_200];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const second = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const at = (format, s) => format.format(new Date(s * 1000));

class Chart {
  #figure;
  #lines;
  #time;
  #value;
  #say;
  #plot;
  #values;
  #margin;
  #when;

  /** `lines`: each `label`, `colour` (a variable of the style sheet), and if need be `fill`, `bars`, `dash`, `width`. */
  constructor(figure, lines, { value, time, say }) {
    this.#figure = figure;
    this.#lines = lines;
    this.#time = time;
    this.#value = value;
    this.#say = say;
    this.#margin = lines.some((line) => line.bars) ? 1800 : 0;
    const legend = figure.querySelector(".legend");
    this.#values = lines.map((line) => {
      const swatch = document.createElement("i");
      swatch.className = `swatch ${line.colour.slice(2)}`;
      const shown = document.createElement("b");
      const entry = document.createElement("span");
      entry.append(swatch, `${line.label} `, shown);
      legend.append(entry);
      return shown;
    });
    this.#when = document.createElement("span");
    legend.append(this.#when);
    const host = figure.querySelector(".plot");
    this.#plot = new window.uPlot(this.#options(host), [[], ...lines.map(() => [])], host);
    new ResizeObserver(() => this.#plot.setSize({ width: host.clientWidth, height: HEIGHT })).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#plot.redraw(false, true));
  }

  show(xs, columns) {
    this.#plot.setData([xs, ...columns]);
    this.#read(this.#plot.cursor.idx);
    const label = this.#say(columns);
    const host = this.#figure.querySelector(".plot");
    if (host.getAttribute("aria-label") !== label) host.setAttribute("aria-label", label);
  }

  /** The values under the cursor, or the latest. */
  #read(index) {
    const [xs, ...columns] = this.#plot.data;
    const i = index ?? xs.length - 1;
    columns.forEach((column, n) => (this.#values[n].textContent = this.#value(index == null ? latest(column) : column[i])));
    this.#when.textContent = index == null || xs[i] == null ? "" : at(this.#time, xs[i]);
  }

  #options(host) {
    const muted = () => css("--muted");
    const grid = { stroke: () => css("--line"), width: 1 };
    const axis = { stroke: muted, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return {
      width: host.clientWidth || 300,
      height: HEIGHT,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      select: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true, range: (_, low, high) => [low - this.#margin, high + this.#margin] }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, grid: { show: false }, size: 24, space: 48, incrs: TICKS_S, values: (_, ticks) => ticks.map((s) => at(hour, s)) },
        { ...axis, size: 58, space: 26, values: (_, ticks) => ticks.map(this.#value) },
      ],
      series: [{}, ...this.#lines.map((line) => seriesOf(line))],
      hooks: { setCursor: [(plot) => this.#read(plot.cursor.idx)] },
    };
  }
}

function seriesOf(line) {
  const stroke = () => css(line.colour);
  return {
    label: line.label,
    stroke,
    width: line.bars ? 0 : (line.width ?? 1.5),
    fill: line.fill || line.bars ? () => `${css(line.colour)}${line.bars ? "cc" : "22"}` : undefined,
    dash: line.dash,
    spanGaps: true,
    points: { show: false },
    paths: line.bars ? window.uPlot.paths.bars({ size: [0.7, 28], radius: 0.15 }) : undefined,
  };
}

export function makeCharts(page) {
  const perSecond = { value: rate, time: second };
  const requests = new Chart(
    page.rate,
    [
      { label: "answered", colour: "--c1", fill: true },
      { label: "cached", colour: "--c2", dash: [4, 3] },
      { label: "failed", colour: "--c3" },
    ],
    { ...perSecond, say: ([answered]) => `Requests a second over five minutes: now ${rate(latest(answered))}, at most ${rate(highest(answered))}` },
  );
  const latency = new Chart(
    page.latency,
    [
      { label: "p50", colour: "--c1" },
      { label: "p95", colour: "--c4", width: 1 },
    ],
    {
      value: duration,
      time: second,
      say: ([p50, p95]) => `Latency over five minutes: half within ${duration(latest(p50))}, 95 of 100 within ${duration(latest(p95))}`,
    },
  );
  const spend = new Chart(page.spend, [{ label: "spent", colour: "--c1", bars: true }], {
    value: dollars,
    time: hour,
    say: ([spent]) => `Spent by hour over a day: this hour ${dollars(latest(spent))}, at most ${dollars(highest(spent))}`,
  });
  return (state) => {
    const [xs, ...rates] = binned(state.series, ["answered", "cached", "failed"]);
    requests.show(xs, rates);
    const { from_s, p50_ms, p95_ms } = state.series;
    latency.show(p50_ms.map((_, i) => from_s + i), [p50_ms, p95_ms]);
    const hours = state.spend.by_hour;
    spend.show(hours.map((row) => Date.parse(row.name) / 1000), [hours.map((row) => row.cost_nanousd)]);
  };
}

/** The mean of each five whole seconds. */
function binned(series, columns) {
  const skip = (BIN_S - (series.from_s % BIN_S)) % BIN_S;
  const bins = Math.floor((series.answered.length - skip) / BIN_S);
  const starts = Array.from({ length: bins }, (_, i) => skip + i * BIN_S);
  const mean = (column) => starts.map((start) => column.slice(start, start + BIN_S).reduce((sum, value) => sum + value, 0) / BIN_S);
  return [starts.map((start) => series.from_s + start), ...columns.map((name) => mean(series[name]))];
}

const latest = (column) => column.findLast((value) => value != null) ?? null;
const highest = (column) => (column.length ? Math.max(...column.map((value) => value ?? 0)) : null);
