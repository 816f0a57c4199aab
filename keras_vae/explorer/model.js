"use strict";
// The model: unpacks what the file holds, and does what the methods of Python's model do.

/** Unpacks the weights and images in the JSON content of the file. */
async function unpack(content) {
  const bytes = await inflate(content.weights.gzip);
  const pixels = await inflate(content.images.gzip);
  const [low, high] = content.images.range;
  const size = sizeOf(content.shape);
  const images = Array.from({ length: content.images.count }, (_, i) =>
    Float32Array.from(pixels.subarray(i * size, (i + 1) * size), (v) => low + (v / 255) * (high - low)),
  );
  return { images, weights: weightsOf(bytes, content.weights.sizes) };
}

/** How many numbers an array of this shape holds. */
function sizeOf(shape) {
  return shape.reduce((product, length) => product * length, 1);
}

async function inflate(base64) {
  const packed = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Reads all scales, then the high bytes of all numbers, then their low bytes. */
function weightsOf(bytes, sizes) {
  const total = sizes.reduce((sum, [length]) => sum + length, 0);
  const count = sizes.reduce((sum, [, scales]) => sum + scales, 0);
  const scales = new Float32Array(bytes.buffer, 0, count);
  const high = bytes.subarray(4 * count, 4 * count + total);
  const low = bytes.subarray(4 * count + total);
  let [at, scaleAt] = [0, 0];
  return sizes.map(([length, columns]) => {
    const weights = new Float32Array(length);
    for (let i = 0; i < length; i++) {
      const level = high[at + i] * 256 + low[at + i] - 32768;
      weights[i] = level * scales[scaleAt + (i % columns)];
    }
    at += length;
    scaleAt += columns;
    return weights;
  });
}

/** What all models share: a decoder and a prior. */
class Model {
  constructor(content, weights) {
    Object.assign(this, { content, weights });
  }

  decode(code) {
    const [outputs] = run(this.content.decoder, this.weights, this.vectors(code));
    return MEANS[this.content.mean.kind](this.content.mean, outputs);
  }

  sample() {
    const { prior, ranges } = this.content;
    return PRIORS[prior.kind](prior, this.weights, ranges?.length);
  }
}

/** A model whose codes are real numbers: the encoder's output, or the mean in it. */
class NumberModel extends Model {
  /** The code, the mean, and where the model has one the bounded log-variance. */
  encode(image) {
    const outputs = run(this.content.encoder, this.weights, image);
    const isHalf = this.content.encodes_as === "mean" && outputs.length === 1;
    const [code, logVar] = isHalf ? halve(outputs[0], this.content.channels) : outputs;
    if (!this.content.posterior) return { code };
    return { code, logVar: logVar.map((v) => Math.min(Math.max(v, -30), 10)) };
  }

  vectors(code) {
    return code;
  }

  mix(first, second, share) {
    return first.map((value, j) => (1 - share) * value + share * second[j]);
  }
}

/** A model whose codes are whole numbers, one for each position, that stand for vectors. */
class CodeModel extends Model {
  constructor(content, weights) {
    super(content, weights);
    this.codebook = weights[content.codebook];
    this.width = this.codebook.length / content.counts.length;
  }

  encode(image) {
    return { code: this.nearest(run(this.content.encoder, this.weights, image)[0]) };
  }

  /** The codes nearest to the mixed vectors. */
  mix(first, second, share) {
    const others = this.vectors(second);
    return this.nearest(this.vectors(first).map((v, j) => (1 - share) * v + share * others[j]));
  }

  vectors(codes) {
    const { codebook, width } = this;
    const vectors = new Float32Array(codes.length * width);
    codes.forEach((code, i) =>
      vectors.set(codebook.subarray(code * width, (code + 1) * width), i * width),
    );
    return vectors;
  }

  nearest(vectors) {
    const { codebook, width } = this;
    const codes = new Int32Array(vectors.length / width);
    for (let i = 0; i < codes.length; i++) {
      let smallest = Infinity;
      for (let at = 0; at < codebook.length; at += width) {
        let distance = 0;
        for (let j = 0; j < width; j++) distance += (vectors[i * width + j] - codebook[at + j]) ** 2;
        if (distance < smallest) [smallest, codes[i]] = [distance, at / width];
      }
    }
    return codes;
  }
}

/** Splits each vector of `2 * channels` numbers into halves. */
function halve(values, channels) {
  const parts = [0, 1].map(() => new Float32Array(values.length / 2));
  values.forEach((value, i) => {
    const [row, column] = [Math.floor(i / (2 * channels)), i % (2 * channels)];
    parts[column < channels ? 0 : 1][row * channels + (column % channels)] = value;
  });
  return parts;
}
