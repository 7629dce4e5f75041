// Server-sent events over fetch, which, unlike EventSource, sends a key in a header. It connects again until it is closed.

const SILENT_MS = 15_000;
const WAITS_MS = [1_000, 2_000, 4_000, 8_000, 15_000];

export class Denied extends Error {}

/** Calls `on.event(name, data)`, `on.open()`, `on.lost(reason, waitMs)`, and `on.denied(reason)`, after which it rests. */
export class Live {
  #on;
  #path;
  #key;
  #failures = 0;
  #closed = false;
  #abort = null;
  #hurry = null;

  constructor(path, key, on) {
    this.#path = path;
    this.#key = key;
    this.#on = on;
    this.#run();
  }

  close() {
    this.#closed = true;
    this.#abort?.abort();
    this.#hurry?.();
  }

  retry() {
    this.#hurry?.();
  }

  async #run() {
    while (!this.#closed) {
      let reason = "the server ended it";
      try {
        await this.#read();
      } catch (error) {
        if (this.#closed) return;
        if (error instanceof Denied) {
          this.#on.denied(error.message);
          return;
        }
        reason = error.name === "AbortError" ? "the server fell silent" : error.told ?? "the server cannot be reached";
      }
      if (this.#closed) return;
      const most = WAITS_MS[Math.min(this.#failures++, WAITS_MS.length - 1)];
      const waitMs = most * (0.5 + Math.random() / 2);
      this.#on.lost(reason, waitMs);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        this.#hurry = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#hurry = null;
    }
  }

  async #read() {
    this.#abort = new AbortController();
    let silent = setTimeout(() => this.#abort.abort(), SILENT_MS);
    try {
      const headers = this.#key ? { authorization: `Bearer ${this.#key}` } : {};
      const response = await fetch(this.#path, { headers, signal: this.#abort.signal, cache: "no-store" });
      if (!response.ok) throw await refusal(response);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const events = new Events();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(silent);
        silent = setTimeout(() => this.#abort.abort(), SILENT_MS);
        for (const { name, data } of events.read(value)) {
          if (name === "error") throw told(data);
          if (this.#failures || name === "snapshot") this.#on.open();
          this.#failures = 0;
          this.#on.event(name, data);
        }
      }
    } finally {
      clearTimeout(silent);
    }
  }
}

async function refusal(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // An answer that is no JSON has its status.
  }
  return told({ status: response.status, ...problem });
}

function told(problem) {
  const message = problem.detail ?? `the server answered with ${problem.status}`;
  if (problem.status === 401 || problem.status === 403) return new Denied(message);
  return Object.assign(new Error(message), { told: message });
}

/** Cuts a text that comes in pieces into events. */
export class Events {
  #rest = "";

  *read(piece) {
    this.#rest += piece;
    for (let end; (end = this.#rest.indexOf("\n\n")) >= 0; ) {
      const lines = this.#rest.slice(0, end).split("\n");
      this.#rest = this.#rest.slice(end + 2);
      const field = (name) =>
        lines
          .filter((line) => line.startsWith(`${name}:`))
          .map((line) => line.slice(name.length + 1).trimStart())
          .join("\n");
      const data = field("data");
      if (data) yield { name: field("event") || "message", data: JSON.parse(data) };
    }
  }
}
