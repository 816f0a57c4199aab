"use strict";
// The worker's side: it holds the model, and computes what the page asks for.

/** Answers messages `{ id, task, data }` with `{ id, result }` or `{ id, error }`. */
function serve() {
  let model;
  const tasks = {
    /** Unpacks a model, and returns the images in the file. */
    async open(content) {
      const { images, weights } = await unpack(content);
      model = new (content.kind === "numbers" ? NumberModel : CodeModel)(content, weights);
      return images;
    },
    encode: (image) => model.encode(image),
    decode: (code) => model.decode(code),
    sample: () => model.sample(),
    mix: (first, second, share) => model.mix(first, second, share),
  };
  self.onmessage = async ({ data: { id, task, data } }) => {
    try {
      postMessage({ id, result: await tasks[task](...data) });
    } catch (error) {
      postMessage({ id, error: error.message });
    }
  };
}

if (typeof document === "undefined") serve();
