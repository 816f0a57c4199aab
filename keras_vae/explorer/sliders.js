"use strict";
// Latents as sliders: those used most first, all but eight folded, collapsed ones apart.

const UNFOLDED = 8;

class Sliders {
  constructor(section, content, changed) {
    const { values, active } = content;
    this.content = content;
    const order = [...values.keys()].sort((i, j) => active[j] - active[i] || values[j] - values[i]);
    this.rows = [];
    const list = (units) => {
      const rows = units.map((unit) => (this.rows[unit] = this.row(unit, changed)));
      return make("div", { className: "sliders" }, ...rows.map((row) => row.element));
    };
    const fold = (id, title, units, ...notes) => {
      if (!units.length) return;
      section.append(make("details", { id }, make("summary", {}, title), ...notes, list(units)));
    };
    const used = order.filter((unit) => active[unit]);
    const collapsed = order.filter((unit) => !active[unit]);
    section.append(list(used.slice(0, UNFOLDED)));
    fold("more", `${used.length - UNFOLDED} more, used less`, used.slice(UNFOLDED));
    const why =
      "These latents hardly change from image to image (the variance of their mean is at most " +
      "0.01): the model does not use them.";
    const note = make("p", { className: "note" }, why);
    fold("collapsed", `${collapsed.length} collapsed`, collapsed, note);
  }

  row(unit, changed) {
    const { values, ranges, posterior } = this.content;
    const [min, max] = ranges[unit];
    const bounds = { min, max, step: (max - min) / 120 };
    const input = make("input", { type: "range", id: `latent-${unit}`, ...bounds });
    const value = make("output", { htmlFor: input.id, ariaLive: "off" }); // the slider says it
    const band = make("span", { className: "band" });
    input.addEventListener("input", () => changed(unit, input.valueAsNumber));
    const digits = values[unit] < 10 ? 2 : 1;
    const use = make("small", {}, `${values[unit].toFixed(digits)} ${this.content.unit}`);
    const name = make("label", { htmlFor: input.id }, `z${unit} `, use);
    const ends = [min, max].map((end) => make("small", {}, shortened(end)));
    const track = make("span", { className: "track" }, input);
    if (posterior) track.append(make("span", { className: "rail" }, band));
    track.append(make("span", { className: "ends", ariaHidden: "true" }, ...ends));
    return { input, value, band, element: make("div", { className: "slider" }, name, track, value) };
  }

  sync(z) {
    this.rows.forEach(({ input, value }, unit) => {
      input.value = z[unit];
      value.value = input.ariaValueText = z[unit].toFixed(2);
    });
  }

  /** Marks under each slider where the posterior of an image has 95 % of its mass. */
  mark({ code, logVar }) {
    if (!logVar) return;
    this.rows.forEach(({ band }, unit) => {
      const place = (value) => 100 * placeIn(this.content.ranges[unit], value);
      const reach = 1.96 * Math.exp(0.5 * logVar[unit]);
      const [left, right] = [place(code[unit] - reach), place(code[unit] + reach)];
      Object.assign(band.style, { left: `${left}%`, width: `${right - left}%` });
    });
  }
}

/** A number in as few characters as say it to two digits. */
function shortened(value) {
  return String(Number(value.toPrecision(2)));
}
