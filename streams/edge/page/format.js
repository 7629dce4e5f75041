// Numbers, money and times for eyes.

const NANO = 1e9;
const whole = new Intl.NumberFormat("en-US");
const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const NONE = "–";

export const count = (value) => (value == null ? NONE : whole.format(value));

export function rate(perSecond) {
  if (perSecond == null) return NONE;
  if (perSecond === 0) return "0";
  return perSecond < 10 ? perSecond.toFixed(2) : perSecond < 100 ? perSecond.toFixed(1) : whole.format(Math.round(perSecond));
}

/** Milliseconds in three digits. */
export function duration(ms) {
  if (ms == null) return NONE;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  return s < 10 ? `${s.toFixed(2)} s` : s < 100 ? `${s.toFixed(1)} s` : `${whole.format(Math.round(s))} s`;
}

/** An amount of 1e-9 dollars, to the cent, or to three digits where it is less than a cent. */
export function dollars(nanousd) {
  if (nanousd == null) return NONE;
  const amount = nanousd / NANO;
  const size = Math.abs(amount);
  if (size === 0) return "$0";
  const sign = amount < 0 ? "−" : "";
  if (size >= 1000) return `${sign}$${whole.format(Math.round(size))}`;
  if (size >= 0.1) return `${sign}$${size.toFixed(2)}`;
  return `${sign}$${size.toFixed(Math.min(9, 2 - Math.floor(Math.log10(size))))}`;
}

/** Every digit of an amount. */
export function exactDollars(nanousd) {
  if (nanousd == null) return "price unknown";
  const digits = String(Math.abs(nanousd)).padStart(10, "0");
  const fraction = digits.slice(-9).replace(/0+$/, "").padEnd(2, "0");
  return `${nanousd < 0 ? "−" : ""}$${digits.slice(0, -9)}.${fraction}`;
}

/** A share, never rounded up to all of it. */
export function percent(share) {
  if (share == null) return NONE;
  if (share === 1) return "100 %";
  return share === 0 ? "0 %" : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}

export const clock = (iso) => (iso == null ? NONE : time.format(new Date(iso)));

export function ago(iso, now) {
  const s = Math.max(0, Math.round((now - new Date(iso)) / 1000));
  return s < 120 ? `${s} s` : s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}

export const words = (name) => name.replaceAll("_", " ");
