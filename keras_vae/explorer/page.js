"use strict";
// The page: what it says and what each control does. The other files compute and draw.

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

const NATS =
  "A nat is a unit of information, about 1.44 bits: a latent of 2 nats tells as much about an " +
  "image as a choice among 7 (e²) equally likely values; one of 0 nats tells nothing. ";

const LAYERS =
  "Layers are in the order in which the model draws them, the top one first. A latent is in units of " +
  "its prior given the layers above: 0 is the prior’s mean, 1 its standard deviation. Moving one " +
  "changes what those below mean. ";

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
  const isNumbers = content.kind === "numbers";
  describe(isNumbers);
  const model = new Engine(byId("compute").textContent);
  const explorer = new Explorer(model, await model.open(content));
  explorer.views = isNumbers ? numberViews(explorer) : [codeView(explorer)];
  stripOf(explorer);
  connect(explorer, isNumbers);
  explorer.pick(0);
  await explorer.settled();
  return explorer;
}

function describe(isNumbers) {
  const { prior, parameters, images, kind } = content;
  const count = content.ranges?.length ?? sizeOf(content.positions);
  const inLayers = content.layers ? ` in ${content.layers.length} layers` : "";
  const latents = isNumbers ? `${count} latents${inLayers}` : `${count} codes of ${content.counts.length}`;
  byId("about").textContent =
    `${latents} · ${parameters.toLocaleString("en")} parameters · computed in this page, by your ` +
    "browser: nothing is sent";
  const ofPrior = PRIOR_NOTES[prior.kind][kind] ?? PRIOR_NOTES[prior.kind];
  const plane = content.plane
    ? `In the plane each dot is the code of an image (${content.plane.codes.length} of them). `
    : "";
  const measure = `(${content.measure}; ${images.measured} images)`;
  const order = `Latents are sorted by the number beside them ${measure}. `;
  const ofLayers = content.layers ? LAYERS : "";
  const ofUnit = content.unit === "nats" ? NATS : "";
  const ofBand = content.posterior
    ? "The bar under a slider shows where the input’s posterior has 95 % of its mass. "
    : "";
  byId("notes").textContent = (isNumbers ? plane + ofLayers + order + ofUnit + ofBand : "") + ofPrior;
  byId("strip-title").textContent = images.given ? "Images" : "Images that the model made";
  byId("latents-title").textContent = isNumbers ? "Latents" : "Codes";
  byId("sample").hidden = isNumbers && prior.kind === "none";
  if (prior.kind === "none") byId("sample").textContent = "Change some codes";
}

function numberViews(explorer) {
  const section = byId("views");
  const views = [];
  const moved = (z) => explorer.edit(z, "Latents moved by hand.");
  if (content.plane) {
    section.className = "two";
    views.push(new Plane(section, { content, model: explorer.model, moved }));
  }
  const sliders = make("div");
  section.append(sliders);
  const changed = (unit, value) => moved(explorer.code.map((old, j) => (j === unit ? value : old)));
  const redrawn = (kept) => {
    const drawn = normal(explorer.code.length);
    const code = explorer.code.map((old, j) => (j < kept ? old : drawn[j]));
    explorer.edit(code, "The layers below drawn anew from their prior.");
  };
  views.push(new Sliders(sliders, content, changed, redrawn));
  return views;
}

function codeView(explorer) {
  const changed = (codes) => explorer.edit(codes, "Codes exchanged by hand.");
  return new CodeMap(byId("views"), content, changed);
}

function stripOf(explorer) {
  explorer.images.forEach((image, i) => {
    const picture = paint(document.createElement("canvas"), image, formOf(content));
    const button = make("button", { type: "button", ariaLabel: nameOf(i) }, picture);
    button.addEventListener("click", () => explorer.pick(i));
    byId("strip").append(button);
  });
}

function connect(explorer, isNumbers) {
  byId("sample").addEventListener("click", () => {
    if (content.prior.kind === "none") {
      const change = () => perturb(explorer.code);
      explorer.follow(change, "What the changed codes decode to", "Some codes replaced.");
    } else {
      explorer.follow(() => explorer.model.sample(), "The random sample", "A random sample.");
    }
  });
  byId("reset").addEventListener("click", () => {
    explorer.reset("Back to the input’s own " + (isNumbers ? "latents." : "codes."));
  });
  byId("save").addEventListener("click", () => {
    download(byId("output"), `${content.name.replace(/[^\w.-]+/g, "-")}.png`);
    say("The picture goes to your downloads.");
  });
  byId("clear").addEventListener("click", () => explorer.paper.clear());
  byId("colour").hidden = content.shape[2] === 1;
  interpolation(explorer);
  unfoldToPrint();
}

/** Mixes two images. Pressing either end moves it on to the next image. */
function interpolation(explorer) {
  const count = explorer.images.length;
  byId("way").hidden = count < 2;
  const ends = { first: 0, second: 1 % count };
  const between = byId("between");
  const show = () => {
    const [share, i, j] = [between.valueAsNumber, ends.first, ends.second];
    const way = `${Math.round(100 * share)} % of the way from image ${i + 1} to image ${j + 1}`;
    between.ariaValueText = way;
    const mix = async () =>
      explorer.model.mix(await explorer.codeOf(i), await explorer.codeOf(j), share);
    explorer.follow(mix, way, `${way}.`);
  };
  for (const end of ["first", "second"]) {
    const button = byId(end);
    const [picture, caption] = [make("canvas"), make("small")];
    const label = () => {
      paint(picture, explorer.images[ends[end]], formOf(content));
      caption.textContent = `Image ${ends[end] + 1}`;
      button.title = "Press for the next image";
      button.ariaLabel = `The ${end} is image ${ends[end] + 1}. Press for the next one.`;
    };
    button.append(picture, caption);
    button.addEventListener("click", () => {
      ends[end] = (ends[end] + 1) % count;
      label();
      show();
    });
    label();
  }
  between.ariaValueText = "0 %";
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

/** On paper all latents are shown; on the screen those that were unfolded. */
function unfoldToPrint() {
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
}
