// The chart of the limit against the load: filled from the history, then second by second from the stream.
import { said, shiftMs } from "./times.js";

const USES = ["rest", "ai", "mining"]; // from the ground up
const RESOLUTION_S = { 15: 1, 60: 5, 360: 30 };
const GAP_MS = 12_000; // longer without a sample is a hole
const MINUTES_GAP_MS = 150_000; // where there are only minutes
const HOUR_MS = 3_600_000;
const SHORTEST_MS = 60_000;
const MARGIN = 1.12; // of room above the highest

/** The chart on the page. Load a span first; `push` then adds to it. */
export class Chart {
  #plot;
  #source;
  #minutes = 15;
  #newestMs = 0;
  #loading = null;

  static async draw() {
    const answer = await fetch("/chart.json");
    if (!answer.ok) throw new Error(`the chart: ${answer.status}`);
    await Bokeh.embed.embed_item(await answer.json(), "chart");
    const chart = new Chart();
    const [figures] = Bokeh.documents;
    chart.#plot = figures.get_model_by_name("plot");
    chart.#source = chart.#plot.renderers[0].data_source;
    chart.colour();
    return chart;
  }

  /** Show the last so many minutes. */
  async load(minutes) {
    this.#minutes = minutes;
    const loading = (this.#loading = this.#fetch(minutes));
    const points = await loading;
    if (this.#loading !== loading) return; // somebody asked for another span meanwhile
    this.#loading = null;
    const columns = empty();
    this.#newestMs = 0;
    for (const point of points) this.#add(columns, point);
    this.#source.data = columns;
    this.#slide();
  }

  /** Show the same again, in the zone that times are told in now. */
  reload() {
    return this.load(this.#minutes);
  }

  async #fetch(minutes) {
    const since = new Date(Date.now() - minutes * 60_000).toISOString();
    const answer = await fetch(`/api/v1/power/history?since=${since}&resolution=${RESOLUTION_S[minutes]}`);
    if (!answer.ok) throw new Error(`the history: ${answer.status}`);
    const { at, limit_w, rest_w, ai_w, miners_w } = await answer.json();
    return at.map((text, i) => [Date.parse(text), limit_w[i], rest_w[i], ai_w[i], miners_w[i]]);
  }

  /** Add new samples: [ms, limit, site, AI, mining], W. */
  push(points) {
    if (!points.length || this.#loading) return;
    if (points[0][0] - this.#newestMs > GAP_MS + RESOLUTION_S[this.#minutes] * 1000) {
      this.reload(); // the stream was away for longer than it makes up for
      return;
    }
    const stepMs = RESOLUTION_S[this.#minutes] * 900;
    const columns = empty();
    for (const point of points) {
      if (point[0] - this.#newestMs >= stepMs) this.#add(columns, point);
    }
    if (!columns.t.length) return;
    const rollover = (this.#minutes * 60) / RESOLUTION_S[this.#minutes] + 100;
    this.#source.stream(columns, Math.ceil(rollover));
    this.#slide();
  }

  #add(columns, [ms, limit, ...uses]) {
    const gapMs = Date.now() - ms > HOUR_MS ? MINUTES_GAP_MS : GAP_MS + RESOLUTION_S[this.#minutes] * 1000;
    if (this.#newestMs && ms - this.#newestMs > gapMs) {
      row(columns, this.#newestMs + 1, NaN, [0, 0, 0]);
      row(columns, ms - 1, NaN, [0, 0, 0]);
    }
    row(columns, ms, limit / 1000, uses.map((watts) => watts / 1000));
    this.#newestMs = ms;
  }

  #slide() {
    const spanMs = this.#minutes * 60_000;
    const endMs = (this.#newestMs || Date.now()) + shiftMs(Date.now());
    const { t, limit, draw } = this.#source.data;
    const startMs = Math.max(endMs - spanMs, Math.min(t[0] ?? 0, endMs - SHORTEST_MS));
    this.#plot.x_range.setv({ start: startMs, end: endMs }); // a young site's chart begins where the site does
    const seen = [...t.keys()].filter((i) => t[i] >= endMs - spanMs && !Number.isNaN(limit[i]));
    const limits = seen.map((i) => limit[i]);
    const draws = seen.map((i) => draw[i]);
    const top = Math.max(1, ...limits, ...draws) * MARGIN;
    if (Math.abs(top - this.#plot.y_range.end) > 0.02 * top) this.#plot.y_range.setv({ start: 0, end: top });
    this.#tell(limits, draws);
  }

  #tell(limits, draws) {
    const of = (values) => {
      const ends = [Math.min(...values), Math.max(...values)].map((kw) => kw.toFixed(1));
      return `${[...new Set(ends)].join(" to ")} kW`;
    };
    const span = this.#minutes < 60 ? `${this.#minutes} minutes` : `${this.#minutes / 60} h`;
    const text = limits.length
      ? `In the last ${span}, until ${said(new Date(this.#newestMs), "short")}: limit ${of(limits)}, load ${of(draws)}.`
      : "Nothing was sampled in this time.";
    const shown = document.getElementById("chart-text");
    if (shown.textContent !== text) shown.textContent = text;
  }

  /** Take the colours of the page, which may be light or dark. */
  colour() {
    const of = (selector, what = "backgroundColor") => getComputedStyle(document.querySelector(selector))[what];
    const named = (name) => this.#plot.renderers.find((renderer) => renderer.name === name).glyph;
    for (const use of USES) named(use).fill_color = { value: of(`.keys .key.${use}`) };
    named("limit").line_color = { value: of(".keys .key.limit") };
    const faint = of("#chart-text", "color");
    for (const axis of [...this.#plot.below, ...this.#plot.left]) axis.major_label_text_color = faint;
    for (const grid of this.#plot.center) grid.setv({ grid_line_color: faint, grid_line_alpha: 0.2 });
  }
}

function empty() {
  const names = ["t", "ground", "limit", "draw", ...USES, ...USES.map((use) => `${use}_top`)];
  return Object.fromEntries(names.map((name) => [name, []]));
}

function row(columns, ms, limit, uses) {
  let top = 0;
  columns.t.push(ms + shiftMs(ms));
  columns.ground.push(0);
  columns.limit.push(limit);
  USES.forEach((use, i) => {
    top += uses[i];
    columns[use].push(uses[i]);
    columns[`${use}_top`].push(top);
  });
  columns.draw.push(top);
}
