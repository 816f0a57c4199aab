"use strict";
// What the page shows: the input, the input's code, and the code that is decoded.

class Explorer {
  constructor(model, images) {
    Object.assign(this, { model, images, views: [], codes: [], next: null, working: null });
    this.paper = new Paper(byId("paper"), formOf(content), brush, () => this.draw());
  }

  /** The code of one of the images in the file, as a promise. */
  codeOf(i) {
    return (this.codes[i] ??= this.model.encode(this.images[i]).then(({ code }) => code));
  }

  pick(i) {
    this.paper.show(this.images[i]);
    const [image, name] = [() => this.images[i], nameOf(i)];
    this.request({ image, input: name, said: `${name}, encoded and decoded.` });
  }

  draw() {
    const image = () => this.paper.read();
    this.request({ image, input: "Your drawing", said: "Your drawing, encoded and decoded." });
  }

  /** Shows a code that was made by hand. The input stays. */
  edit(code, said) {
    this.set(code);
    this.request({ ...this.next, make: undefined, keeps: true, said });
  }

  reset(said) {
    this.edit(this.read.code, said);
  }

  /** Shows a code that `make` makes. What it decodes to becomes the input. */
  follow(make, input, said) {
    this.request({ make, input, said });
  }

  /** Resolves when all that was asked for is shown. */
  async settled() {
    while (this.working) await this.working;
  }

  /** Does a job after the present one, in place of one that still waits. */
  request(job) {
    this.next = job;
    this.working ??= this.work();
  }

  async work() {
    try {
      while (this.next) {
        const job = this.next;
        this.next = null;
        await this.act(job);
      }
    } catch (error) {
      say(`The model could not be computed: ${error.message}`);
      throw error;
    } finally {
      this.working = null;
    }
  }

  async act({ image, make, keeps, input, said }) {
    if (image) this.take(await this.model.encode(image()), input);
    if (make) this.offer(await make());
    else if (!keeps) this.offer(this.read.code);
    const decoded = await this.model.decode(this.code);
    paint(byId("output"), decoded, formOf(content));
    say(said);
    if (make) {
      this.paper.show(decoded);
      this.take(await this.model.encode(decoded), input);
    }
  }

  take(read, input) {
    this.read = read;
    byId("input-is").textContent = input;
    for (const view of this.views) view.mark?.(read);
  }

  /** Shows a code, unless one was made by hand in the meantime. */
  offer(code) {
    if (!this.next?.keeps) this.set(code);
  }

  set(code) {
    this.code = code;
    for (const view of this.views) view.sync(code);
  }
}

/** What one of the images in the file is called. */
function nameOf(i) {
  const label = content.images.labels?.[i];
  return `Image ${i + 1}` + (label === undefined ? "" : `, class ${label}`);
}
