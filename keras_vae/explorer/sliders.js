"use strict";
// Latents as sliders, those with the largest rate first; collapsed ones are folded away.

class Sliders {
  constructor(section, content, changed) {
    const { rates, active, spans } = content;
    this.spans = spans; // how far each slider goes
    const order = [...rates.keys()].sort((i, j) => active[j] - active[i] || rates[j] - rates[i]);
    this.rows = [];
    const list = (units) => {
      const rows = units.map((unit) => (this.rows[unit] = this.row(unit, rates[unit], changed)));
      return made("div", { className: "sliders" }, ...rows.map((row) => row.element));
    };
    const collapsed = order.filter((unit) => !active[unit]);
    section.append(list(order.filter((unit) => active[unit])));
    if (collapsed.length) {
      const summary = made("summary", {}, `${collapsed.length} collapsed`);
      const why =
        "The mean of these latents hardly moves from image to image (variance at most 0.01): " +
        "the model makes no use of them.";
      const note = made("p", { className: "note" }, why);
      section.append(made("details", { id: "collapsed" }, summary, note, list(collapsed)));
    }
  }

  row(unit, rate, changed) {
    const bounds = { min: -this.spans[unit], max: this.spans[unit], step: 0.05 };
    const input = made("input", { type: "range", id: `latent-${unit}`, ...bounds });
    const value = made("output", { htmlFor: input.id });
    const band = made("span", { className: "band" });
    input.addEventListener("input", () => changed(unit, input.valueAsNumber));
    const nats = made("small", {}, `${rate.toFixed(rate < 10 ? 2 : 1)} nats`);
    const name = made("label", { htmlFor: input.id }, `z${unit} `, nats);
    const rail = made("span", { className: "rail" }, band);
    const track = made("span", { className: "track" }, input, rail);
    return { input, value, band, element: made("div", { className: "slider" }, name, track, value) };
  }

  sync(z) {
    this.rows.forEach(({ input, value }, unit) => {
      input.value = z[unit];
      value.value = z[unit].toFixed(2);
    });
  }

  /** Marks, under each slider, where the posterior of an image has 95 % of its mass. */
  mark({ mean, logVar }) {
    this.rows.forEach(({ band }, unit) => {
      const place = (value) => 50 + 50 * Math.min(Math.max(value / this.spans[unit], -1), 1);
      const reach = 1.96 * Math.exp(0.5 * logVar[unit]);
      const [left, right] = [place(mean[unit] - reach), place(mean[unit] + reach)];
      Object.assign(band.style, { left: `${left}%`, width: `${right - left}%` });
    });
  }
}
