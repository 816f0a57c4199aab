"use strict";
// The page: what it shows and what each control does. The other files compute.

const PRIOR_NOTES = {
  normal: "Random samples are drawn from the prior N(0, I), at temperature 1.",
  realnvp: "Random samples are drawn from the model’s prior, a flow (RealNVP), at temperature 1.",
  mixture: "Random samples are drawn from the model’s prior, a mixture of Gaussians.",
  pool: {
    numbers: "A random sample is one of 256 that were drawn from the prior when this file was made.",
    codes: "A random sample is one of 64 that were drawn from the prior when this file was made.",
  },
  none: {
    numbers: "The model has no prior, so it makes no random samples.",
    codes:
      "The model has no prior over its codes. The button replaces a tenth of the codes by others, " +
      "drawn in proportion to their use.",
  },
};

const content = JSON.parse(byId("content").textContent);
const ready = start().catch((error) => {
  say("This page needs a browser of 2023 or later. It says: " + error.message);
  throw error;
});

function byId(id) {
  return document.getElementById(id);
}

function say(text) {
  byId("status").textContent = text;
}

async function start() {
  const { images, weights } = await unpack(content);
  const isNumbers = content.kind === "numbers";
  const model = new (isNumbers ? NumberModel : CodeModel)(content, weights);
  const explorer = new Explorer(model, images);
  describe(isNumbers);
  explorer.views = isNumbers ? numberViews(explorer) : [codeView(explorer)];
  stripOf(explorer);
  connect(explorer, isNumbers);
  explorer.pick(0);
  return explorer;
}

/** What the page shows: the input, its code, and the code that is decoded. */
class Explorer {
  constructor(model, images) {
    Object.assign(this, { model, images, views: [], codes: [] });
    this.paper = new Paper(byId("paper"), formOf(content), brush, (image) => this.encode(image));
  }

  /** The code of one of the images in the file. */
  codeOf(i) {
    return (this.codes[i] ??= this.model.encode(this.images[i]));
  }

  pick(i) {
    this.paper.show(this.images[i]);
    this.take(this.images[i]);
    say(`Image ${i + 1}, encoded and decoded.`);
  }

  /** Encodes a drawing, at most once for each frame of the screen. */
  encode(image) {
    this.drawing = image;
    this.soon("take", () => {
      this.take(this.drawing);
      say("Your drawing, encoded and decoded.");
    });
  }

  take(image) {
    if (this.model.posterior) {
      const posterior = this.model.posterior(image);
      this.input = posterior.mean;
      for (const view of this.views) view.mark?.(posterior);
    } else {
      this.input = this.model.encode(image);
    }
    this.show(this.input);
  }

  show(code) {
    this.code = code;
    for (const view of this.views) view.sync(code);
    this.soon("decode", () => {
      paint(byId("output"), this.model.decode(this.code), formOf(content));
    });
  }

  soon(what, act) {
    this.waiting ??= {};
    if (this.waiting[what]) return;
    this.waiting[what] = requestAnimationFrame(() => {
      this.waiting[what] = 0;
      act();
    });
  }
}

function describe(isNumbers) {
  const { prior, parameters, images, kind } = content;
  const count = content.ranges?.length ?? content.positions.reduce((product, n) => product * n, 1);
  const latents = isNumbers ? `${count} latents` : `${count} codes of ${content.counts.length}`;
  byId("about").textContent =
    `${latents} · ${parameters.toLocaleString("en")} parameters · computed in this page, by your ` +
    "browser: nothing is sent";
  const ofPrior = PRIOR_NOTES[prior.kind][kind] ?? PRIOR_NOTES[prior.kind];
  const plane = count === 2 ? "In the plane z0 goes to the right and z1 upwards. " : "";
  const measure = `(${content.measure}; ${images.measured} images)`;
  const order = `Latents are sorted by the number beside them ${measure}. `;
  const ofBand = content.posterior
    ? "The bar under a slider shows where the input’s posterior has 95 % of its mass. "
    : "";
  byId("notes").textContent = (isNumbers ? plane + order + ofBand : "") + ofPrior;
  byId("strip-title").textContent = images.given ? "Images" : "Images that the model made";
  byId("latents-title").textContent = isNumbers ? "Latents" : "Codes";
  byId("sample").hidden = isNumbers && prior.kind === "none";
  if (prior.kind === "none") byId("sample").textContent = "Change some codes";
}

function numberViews(explorer) {
  const section = byId("views");
  const views = [];
  if (content.ranges.length === 2) {
    section.className = "two";
    const pad = make("div", { className: "plane", role: "img" });
    pad.ariaLabel = "The plane of both latents. The sliders move the same point.";
    section.append(pad);
    const means = explorer.images.map((_, i) => explorer.codeOf(i));
    const moved = (z) => edit(explorer, z);
    views.push(new Plane(pad, { content, model: explorer.model, means, moved }));
  }
  const changed = (unit, value) =>
    edit(explorer, explorer.code.map((old, j) => (j === unit ? value : old)));
  views.push(new Sliders(section, content, changed));
  return views;
}

function codeView(explorer) {
  return new CodeMap(byId("views"), content, (codes) => edit(explorer, codes));
}

function edit(explorer, code) {
  explorer.show(code);
  say(content.kind === "numbers" ? "Latents moved by hand." : "Codes exchanged by hand.");
}

function stripOf(explorer) {
  explorer.images.forEach((image, i) => {
    const picture = paint(document.createElement("canvas"), image, formOf(content));
    const button = make("button", { type: "button", ariaLabel: `Image ${i + 1}` }, picture);
    button.addEventListener("click", () => explorer.pick(i));
    byId("strip").append(button);
  });
}

function connect(explorer, isNumbers) {
  byId("sample").addEventListener("click", () => {
    const perturbs = content.prior.kind === "none";
    explorer.show(perturbs ? perturb(explorer.code) : explorer.model.sample());
    say(perturbs ? "Some codes replaced." : "A random sample.");
  });
  byId("reset").addEventListener("click", () => {
    explorer.show(explorer.input);
    say("Back to the input’s own " + (isNumbers ? "latents." : "codes."));
  });
  byId("clear").addEventListener("click", () => explorer.paper.clear());
  byId("colour").hidden = content.shape[2] === 1;
  interpolation(explorer);
}

/** Mixes two images. Pressing either end moves it on to the next image. */
function interpolation(explorer) {
  const count = explorer.images.length;
  byId("way").hidden = count < 2;
  const ends = { first: 0, second: 1 % count };
  const between = byId("between");
  const show = () => {
    const [first, second] = [explorer.codeOf(ends.first), explorer.codeOf(ends.second)];
    explorer.show(explorer.model.mix(first, second, between.valueAsNumber));
    const percent = Math.round(100 * between.valueAsNumber);
    say(`${percent} % of the way from image ${ends.first + 1} to image ${ends.second + 1}.`);
  };
  for (const end of ["first", "second"]) {
    const button = byId(end);
    const picture = make("canvas");
    const label = () => {
      paint(picture, explorer.images[ends[end]], formOf(content));
      button.ariaLabel = `The ${end} is image ${ends[end] + 1}. Press for the next one.`;
    };
    button.append(picture);
    button.addEventListener("click", () => {
      ends[end] = (ends[end] + 1) % count;
      label();
      show();
    });
    label();
  }
  between.addEventListener("input", show);
}

function perturb(codes) {
  const changed = codes.slice();
  for (let i = 0; i < Math.ceil(codes.length / 10); i++) {
    changed[whole(codes.length)] = drawInProportion(content.counts);
  }
  return changed;
}

function brush() {
  if (byId("erase").checked) return "#000";
  return content.shape[2] === 1 ? "#fff" : byId("colour").value;
}
