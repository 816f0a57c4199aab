"use strict";
// Canvases: images, a paper to draw on, and the plane of two latents.

/** Shows an image, an array of values, on a canvas with as many pixels. */
function paint(canvas, image, { shape, range }) {
  const [height, width, channels] = shape;
  const pixels = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      const value = image[i * channels + (c % channels)];
      pixels.data[4 * i + c] = (255 * (value - range[0])) / (range[1] - range[0]);
    }
    pixels.data[4 * i + 3] = 255;
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** A canvas to draw on with mouse, pen or finger. `drawn` receives each new image. */
class Paper {
  constructor(canvas, form, brush, drawn) {
    const [height, width] = form.shape;
    this.fine = Math.max(1, Math.round(320 / Math.max(height, width))); // canvas pixels for each image pixel
    Object.assign(canvas, { width: width * this.fine, height: height * this.fine });
    Object.assign(this, { canvas, form, brush, drawn });
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
  }

  show(image) {
    const picture = paint(document.createElement("canvas"), image, this.form);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(picture, 0, 0, this.canvas.width, this.canvas.height);
  }

  clear() {
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawn(this.read());
  }

  begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.go(event);
  }

  go(event) {
    if (!this.canvas.hasPointerCapture(event.pointerId)) return;
    const { context } = this;
    context.lineWidth = 0.085 * Math.min(this.canvas.width, this.canvas.height);
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = this.brush();
    for (const step of event.getCoalescedEvents?.() ?? []) this.line(step);
    this.line(event);
    this.drawn(this.read());
  }

  line(event) {
    const place = this.place(event);
    this.context.beginPath();
    this.context.moveTo(...this.last);
    this.context.lineTo(place[0] + 0.01, place[1]); // Chromium draws no line of length 0
    this.context.stroke();
    this.last = place;
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.canvas.width,
      ((event.clientY - box.top) / box.height) * this.canvas.height,
    ];
  }

  /** The drawing at the model's resolution: the mean over each of its pixels. */
  read() {
    const { fine, canvas, form } = this;
    const [height, width, channels] = form.shape;
    const [low, high] = form.range;
    const { data } = this.context.getImageData(0, 0, canvas.width, canvas.height);
    const image = new Float32Array(height * width * channels).fill(low);
    const share = (high - low) / (255 * fine * fine);
    for (let y = 0; y < canvas.height; y++) {
      for (let x = 0; x < canvas.width; x++) {
        const pixel = Math.floor(y / fine) * width + Math.floor(x / fine);
        for (let c = 0; c < channels; c++) {
          image[pixel * channels + c] += share * data[4 * (y * canvas.width + x) + c];
        }
      }
    }
    return image;
  }
}

/** The plane of two latents: decoded images, a dot for each encoded one, and a point to drag. */
class Plane {
  constructor(element, { content, model, means, moved }) {
    this.ranges = content.ranges;
    this.point = make("span", { className: "point" });
    this.canvas = make("canvas", { width: 480, height: 480 });
    const dots = means.map((mean) => this.put(make("span", { className: "dot" }), mean));
    element.append(this.canvas, ...dots, this.point);
    const follow = (event) => moved(this.latents(element, event));
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      follow(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) follow(event);
    });
    this.draw(model, content, 16);
  }

  sync(z) {
    this.put(this.point, z);
  }

  put(mark, [x, y]) {
    const [across, upwards] = this.ranges;
    const [left, top] = [placeIn(across, x), 1 - placeIn(upwards, y)];
    Object.assign(mark.style, { left: `${100 * left}%`, top: `${100 * top}%` });
    return mark;
  }

  latents(element, event) {
    const box = element.getBoundingClientRect();
    const x = placeIn([box.left, box.right], event.clientX);
    const y = placeIn([box.bottom, box.top], event.clientY);
    return this.at(x, y);
  }

  /** The latents at a share of the way across and up. */
  at(x, y) {
    const [[left, right], [bottom, top]] = this.ranges;
    return Float32Array.of(left + x * (right - left), bottom + y * (top - bottom));
  }

  /** Decodes a grid of places, a few at a time, so that the page stays responsive. */
  draw(model, content, steps, from = 0) {
    const [context, tile] = [this.canvas.getContext("2d"), this.canvas.width / steps];
    const picture = document.createElement("canvas");
    const deadline = performance.now() + 12;
    let at = from;
    for (; at < steps * steps && performance.now() < deadline; at++) {
      const [column, row] = [at % steps, Math.floor(at / steps)];
      const image = model.decode(this.at((column + 0.5) / steps, 1 - (row + 0.5) / steps));
      context.drawImage(paint(picture, image, formOf(content)), column * tile, row * tile, tile, tile);
    }
    if (at < steps * steps) requestAnimationFrame(() => this.draw(model, content, steps, at));
  }
}

/** Where a value lies between two ends: 0 at the first and before it, 1 at the second and after. */
function placeIn([first, second], value) {
  return Math.min(Math.max((value - first) / (second - first), 0), 1);
}

/** Shape of the images and range of their values. */
function formOf(content) {
  return { shape: content.shape, range: content.images.range };
}

/** A new element with these properties and children. */
function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}
