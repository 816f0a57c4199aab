"use strict";
// The plane of two latents: decoded images, dots where the data lies, and a point to move.

const STEPS = 16; // decoded images a side
const COLOURS = [
  ...["#ffd166", "#4cc9f0", "#f25f5c", "#80ed99", "#c77dff"],
  ...["#ff9f1c", "#f72585", "#b8c0cc", "#d4b483", "#4895ef"],
];

class Plane {
  constructor(section, { content, model, moved }) {
    this.ranges = content.ranges;
    this.point = make("span", { className: "point" });
    this.images = make("canvas", { width: 480, height: 480 });
    this.element = make("div", { className: "plane", tabIndex: 0, role: "slider" });
    this.element.append(this.images, this.dots(content.plane), this.point);
    Object.assign(this.element, {
      ariaLabel: "Point in the plane of z0 and z1. The arrow keys move it, with Shift in larger steps",
      ariaRoleDescription: "two-dimensional slider",
      ariaValueMin: this.ranges[0][0],
      ariaValueMax: this.ranges[0][1],
    });
    const axes = [axis("across", this.ranges[0], "z0"), axis("upwards", this.ranges[1], "z1")];
    const chart = make("div", { className: "chart" }, axes[1], this.element, axes[0]);
    section.append(make("div", {}, chart, this.legend(content.plane.labels)));
    this.follow(moved);
    this.decode(model, content);
  }

  follow(moved) {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      moved(this.under(event));
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) moved(this.under(event));
    });
    element.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.1 : 0.0125;
      const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      if (!steps[event.key]) return;
      event.preventDefault(); // no scrolling
      moved(this.at(...steps[event.key].map((by, j) => placeIn(this.ranges[j], this.z[j]) + by * step)));
    });
  }

  sync(z) {
    this.z = z;
    const [left, top] = this.place(z);
    Object.assign(this.point.style, { left: `${100 * left}%`, top: `${100 * top}%` });
    this.element.ariaValueNow = z[0].toFixed(2);
    this.element.ariaValueText = `z0 ${z[0].toFixed(2)}, z1 ${z[1].toFixed(2)}`;
  }

  /** Where latents lie, as shares of the way across and down. */
  place([x, y]) {
    return [placeIn(this.ranges[0], x), 1 - placeIn(this.ranges[1], y)];
  }

  under(event) {
    const box = this.element.getBoundingClientRect();
    const x = placeIn([box.left, box.right], event.clientX);
    return this.at(x, placeIn([box.bottom, box.top], event.clientY));
  }

  /** The latents at shares of the way across and up, which are taken to be from 0 to 1. */
  at(...shares) {
    return Float32Array.from(shares, (share, j) => {
      const [low, high] = this.ranges[j];
      return low + Math.min(Math.max(share, 0), 1) * (high - low);
    });
  }

  /** A dot for each code of the data, in the colour of its class. */
  dots({ codes, labels }) {
    const canvas = make("canvas", { className: "dots", width: 960, height: 960 });
    const context = canvas.getContext("2d");
    const classes = classesOf(labels);
    codes.forEach((code, i) => {
      const [left, top] = this.place(code);
      context.beginPath();
      context.arc(left * canvas.width, top * canvas.height, 6, 0, 2 * Math.PI);
      context.fillStyle = colourOf(labels ? classes.indexOf(labels[i]) : 0, classes.length);
      context.fill();
      context.stroke(); // in black
    });
    return canvas;
  }

  legend(labels) {
    const classes = classesOf(labels);
    const entries = classes.map((label, i) => {
      const swatch = make("span", { className: "swatch" });
      swatch.style.background = colourOf(i, classes.length);
      return make("li", {}, swatch, label);
    });
    return make("ul", { className: "legend", ariaLabel: "Classes", hidden: !labels }, ...entries);
  }

  /** Decodes a grid of places, each after all that the user asked for in the meantime. */
  async decode(model, content) {
    const [context, tile] = [this.images.getContext("2d"), this.images.width / STEPS];
    const picture = document.createElement("canvas");
    for (let i = 0; i < STEPS * STEPS; i++) {
      const [column, row] = [i % STEPS, Math.floor(i / STEPS)];
      const image = await model.decode(this.at((column + 0.5) / STEPS, 1 - (row + 0.5) / STEPS));
      paint(picture, image, formOf(content));
      context.drawImage(picture, column * tile, row * tile, tile, tile);
    }
  }
}

/** An axis: its name, and round numbers where they lie. */
function axis(className, [low, high], name) {
  const element = make("div", { className: `axis ${className}`, ariaHidden: "true" });
  for (const value of roundNumbers(low, high)) {
    const tick = make("span", {}, String(value));
    const share = 100 * placeIn([low, high], value);
    Object.assign(tick.style, className === "across" ? { left: `${share}%` } : { bottom: `${share}%` });
    element.append(tick);
  }
  element.append(make("b", {}, name));
  return element;
}

/** Multiples of 1, 2 or 5 times a power of ten: three to seven of them. */
function roundNumbers(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 3));
  const step = [5, 2, 1].map((k) => k * power).find((k) => (high - low) / k >= 3);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

function classesOf(labels) {
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  return [...new Set(labels ?? [])].sort(compare);
}

function colourOf(i, count) {
  return count <= COLOURS.length ? COLOURS[i] : `hsl(${Math.round((360 * i) / count)} 85% 62%)`;
}
