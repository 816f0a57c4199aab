"use strict";
// Latents as sliders: those used most first, all but eight folded, collapsed ones apart. The layers
// of a hierarchy are groups, the top one first.

const UNFOLDED = 8;
const MOST_OF_LAYER = 32;

class Sliders {
  constructor(section, content, changed, redrawn) {
    Object.assign(this, { content, changed, rows: [] });
    if (!content.layers) {
      this.fill(section, [...content.values.keys()]);
      return;
    }
    let first = 0;
    content.layers.forEach((layer, i) => {
      const end = first + sizeOf(layer.shape);
      section.append(this.group(layer, i, first, end, redrawn));
      first = end;
    });
  }

  /** A layer of a hierarchy: the latents from `first` on, before `end`. */
  group({ shape, rate }, i, first, end, redrawn) {
    const count = this.content.layers.length;
    const title = `Layer ${i + 1} of ${count}: ${shape.join(" × ")} latents, ${rate.toFixed(2)} nats`;
    const group = make("details", { className: "layer", open: i === 0 }, make("summary", {}, title));
    const units = Array.from({ length: end - first }, (_, k) => first + k);
    const shown = this.byUse(units).slice(0, MOST_OF_LAYER);
    this.fill(group, shown, shape, first, ` of layer ${i + 1}`);
    const left = units.length - shown.length;
    const note = `The layer’s other ${left} latents are used less and have no sliders.`;
    if (left) group.append(make("p", { className: "note" }, note));
    if (i + 1 < count) {
      const button = make("button", { type: "button" }, "Draw the layers below anew");
      button.addEventListener("click", () => redrawn(end));
      group.append(make("div", { className: "buttons" }, button));
    }
    return group;
  }

  byUse(units) {
    const { values, active } = this.content;
    return [...units].sort((i, j) => active[j] - active[i] || values[j] - values[i]);
  }

  /** Puts sliders into an element. Units are counted, and named, from `first` on. */
  fill(element, units, shape = [], first = 0, where = "") {
    const { active } = this.content;
    const list = (units) => {
      const rows = units.map((unit) => (this.rows[unit] = this.row(unit, shape, first, where)));
      return make("div", { className: "sliders" }, ...rows.map((row) => row.element));
    };
    const fold = (className, title, units, ...notes) => {
      if (!units.length) return;
      const details = make("details", { className }, make("summary", {}, title), ...notes);
      details.append(list(units));
      element.append(details);
    };
    const used = this.byUse(units).filter((unit) => active[unit]);
    const collapsed = this.byUse(units).filter((unit) => !active[unit]);
    element.append(list(used.slice(0, UNFOLDED)));
    fold("more", `${used.length - UNFOLDED} more, used less`, used.slice(UNFOLDED));
    const why =
      "These latents hardly change from image to image (the variance of their mean is at most " +
      "0.01): the model does not use them.";
    const note = make("p", { className: "note" }, why);
    fold("collapsed", `${collapsed.length} collapsed`, collapsed, note);
  }

  row(unit, shape, first, where) {
    const { values, ranges, posterior } = this.content;
    const [min, max] = ranges[unit];
    const bounds = { min, max, step: (max - min) / 120 };
    const input = make("input", { type: "range", id: `latent-${unit}`, ...bounds });
    const value = make("output", { htmlFor: input.id, ariaLive: "off" }); // the slider says it
    const band = make("span", { className: "band" });
    input.addEventListener("input", () => this.changed(unit, input.valueAsNumber));
    const digits = values[unit] < 10 ? 2 : 1;
    const use = make("small", {}, `${values[unit].toFixed(digits)} ${this.content.unit}`);
    const of = make("span", { className: "unseen" }, where);
    const name = make("label", { htmlFor: input.id }, `z${unit - first}`, of, " ", use);
    if (shape.length > 1) name.title = placeOf(unit - first, shape);
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

/** Where a number of a map stands, counted from 1. */
function placeOf(i, shape) {
  const names = shape.length === 3 ? ["row", "column", "channel"] : shape.map((_, axis) => `axis ${axis}`);
  const places = [...shape].reverse().map((length) => {
    const place = i % length;
    i = Math.floor(i / length);
    return place + 1;
  });
  return names.map((name, axis) => `${name} ${places[shape.length - 1 - axis]}`).join(", ");
}

/** A number in as few characters as say it to two digits. */
function shortened(value) {
  return String(Number(value.toPrecision(2)));
}
