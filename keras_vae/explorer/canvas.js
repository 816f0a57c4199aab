"use strict";
// Canvases: images, and a paper to draw on; and what all parts of the page share.

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

/** A canvas to draw on with mouse, pen or finger. `drawn` is called after each change. */
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
    this.drawn();
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
    this.drawn();
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
    const sums = new Float64Array(height * width * channels);
    for (let y = 0, at = 0; y < canvas.height; y++) {
      let to = Math.floor(y / fine) * width * channels;
      for (let column = 0; column < width; column++, to += channels) {
        for (let x = 0; x < fine; x++, at += 4) {
          for (let c = 0; c < channels; c++) sums[to + c] += data[at + c];
        }
      }
    }
    const share = (high - low) / (255 * fine * fine);
    return Float32Array.from(sums, (sum) => low + share * sum);
  }
}

/** Where a value lies between two ends: 0 at the first and before it, 1 at the second and after. */
function placeIn([first, second], value) {
  return Math.min(Math.max((value - first) / (second - first), 0), 1);
}

/** A canvas as a PNG file, each pixel enlarged to a square, for the user to keep. */
function download(canvas, name) {
  const zoom = Math.max(1, Math.floor(1024 / Math.max(canvas.width, canvas.height)));
  const [width, height] = [zoom * canvas.width, zoom * canvas.height];
  const picture = make("canvas", { width, height });
  const context = picture.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, width, height);
  picture.toBlob((blob) => {
    const href = URL.createObjectURL(blob);
    make("a", { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60_000);
  });
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
