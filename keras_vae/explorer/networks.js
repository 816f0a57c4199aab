"use strict";
// The networks: pure functions of Float32Arrays that compute one example as Keras does.

const ACTIVATIONS = {
  relu: (x) => (x > 0 ? x : 0),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  leaky_relu: (x) => (x > 0 ? x : 0.2 * x),
  softplus,
  selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  mish: (x) => x * Math.tanh(softplus(x)),
  softsign: (x) => x / (1 + Math.abs(x)),
  relu6: (x) => Math.min(Math.max(x, 0), 6),
  hard_sigmoid: (x) => Math.min(Math.max(x / 6 + 0.5, 0), 1),
  exponential: Math.exp,
  smooth_log_var: smoothLogVar,
};

const OPERATIONS = {
  dense,
  affine,
  convolution: (node, [x]) => sweep(node, x, false),
  transposed: (node, [x]) => sweep(node, x, true),
  activation: (node, [x]) => activate(x.slice(), node.activation),
  add: (node, [first, ...others]) => others.reduce((sum, x) => sum.map((v, i) => v + x[i]), first),
  multiply: (node, [first, ...others]) =>
    others.reduce((product, x) => product.map((v, i) => v * x[i]), first),
  subtract: (node, [first, second]) => first.map((v, i) => v - second[i]),
  scale: ({ by }, [x]) => x.map((v) => by * v),
  clip: ({ low, high }, [x]) => x.map((v) => Math.min(Math.max(v, low), high)),
  slice,
  concatenate,
  upsample,
  crop,
};

/** Computes a network's outputs. `weights` holds all arrays of the file, by number. */
function run(network, weights, input) {
  const values = [input];
  for (const node of network.nodes) {
    const tensors = { kernel: weights[node.kernel], bias: weights[node.bias] };
    const inputs = node.of.map((number) => values[number]);
    values.push(OPERATIONS[node.kind]({ ...node, ...tensors }, inputs));
  }
  return network.outputs.map((number) => values[number]);
}

/** Applies an activation to an array, in place. */
function activate(values, name) {
  const activation = ACTIVATIONS[name];
  if (activation) {
    for (let i = 0; i < values.length; i++) values[i] = activation(values[i]);
  }
  return values;
}

/** x @ kernel + bias along the last axis. `units` is needed where there is no bias. */
function dense({ kernel, bias, units, activation }, [x]) {
  const width = bias ? bias.length : units;
  const depth = kernel.length / width;
  const rows = x.length / depth;
  const y = repeat(bias, width, rows);
  for (let row = 0; row < rows; row++) {
    accumulate(x, row * depth, depth, kernel, 0, y, row * width, width);
  }
  return activate(y, activation);
}

/**
 * A convolution, or a transposed one. Both lay a small map over a large one: the pixel (r, c) of
 * the small map meets the pixels (r, c) * strides + tap - before of the large one. The
 * convolution carries numbers from large to small, the transposed one from small to large.
 */
function sweep(node, x, transposed) {
  const { from, to, size, strides, before, kernel, bias, activation } = node;
  const [small, large] = transposed ? [from, to] : [to, from];
  const [depth, width] = [from[2], to[2]];
  const [high, wide] = size;
  const y = repeat(bias, width, to[0] * to[1]);
  for (let row = 0; row < small[0]; row++) {
    for (let column = 0; column < small[1]; column++) {
      const near = row * small[1] + column;
      for (let tap = 0; tap < high * wide; tap++) {
        const bigRow = row * strides[0] + Math.floor(tap / wide) - before[0];
        const bigColumn = column * strides[1] + (tap % wide) - before[1];
        if (bigRow < 0 || bigRow >= large[0] || bigColumn < 0 || bigColumn >= large[1]) continue;
        const far = bigRow * large[1] + bigColumn;
        const source = depth * (transposed ? near : far);
        const target = width * (transposed ? far : near);
        accumulate(x, source, depth, kernel, tap * depth * width, y, target, width);
      }
    }
  }
  return activate(y, activation);
}

/**
 * y += x @ kernel, of `depth` numbers of x from `at` on, and `width` of y from `to` on. Four
 * numbers of x at a time, so that y is read and written less often.
 */
function accumulate(x, at, depth, kernel, start, y, to, width) {
  let i = 0;
  for (; i + 3 < depth; i += 4) {
    const a = x[at + i];
    const b = x[at + i + 1];
    const c = x[at + i + 2];
    const d = x[at + i + 3];
    if (a === 0 && b === 0 && c === 0 && d === 0) continue; // common in black images
    const rowA = start + i * width;
    const rowB = rowA + width;
    const rowC = rowB + width;
    const rowD = rowC + width;
    for (let j = 0; j < width; j++) {
      const first = a * kernel[rowA + j] + b * kernel[rowB + j];
      y[to + j] += first + c * kernel[rowC + j] + d * kernel[rowD + j];
    }
  }
  for (; i < depth; i++) {
    const row = start + i * width;
    for (let j = 0; j < width; j++) y[to + j] += x[at + i] * kernel[row + j];
  }
}

function repeat(bias, width, rows) {
  const y = new Float32Array(rows * width);
  if (bias) {
    for (let row = 0; row < rows; row++) y.set(bias, row * width);
  }
  return y;
}

/** x * kernel + bias, number by number; both are of the last axes, and stand for all others. */
function affine({ kernel, bias, activation }, [x]) {
  const [k, b] = [kernel.length, bias?.length];
  return activate(x.map((v, i) => v * kernel[i % k] + (bias ? bias[i % b] : 0)), activation);
}

/** A range of the last axis, which has `width` numbers. */
function slice({ width, first, end }, [x]) {
  const rows = x.length / width;
  const y = new Float32Array(rows * (end - first));
  for (let row = 0; row < rows; row++) {
    y.set(x.subarray(row * width + first, row * width + end), row * (end - first));
  }
  return y;
}

/** Arrays side by side along the last axis, of which each has a width. */
function concatenate({ widths }, inputs) {
  const width = widths.reduce((sum, w) => sum + w, 0);
  const rows = inputs[0].length / widths[0];
  const y = new Float32Array(rows * width);
  let at = 0;
  inputs.forEach((x, k) => {
    for (let row = 0; row < rows; row++) {
      y.set(x.subarray(row * widths[k], (row + 1) * widths[k]), row * width + at);
    }
    at += widths[k];
  });
  return y;
}

/** Repeats each pixel `size` times down and across. */
function upsample({ from, size }, [x]) {
  const [rows, columns, depth] = from;
  const y = new Float32Array(x.length * size[0] * size[1]);
  for (let row = 0; row < rows * size[0]; row++) {
    for (let column = 0; column < columns * size[1]; column++) {
      const source = Math.floor(row / size[0]) * columns + Math.floor(column / size[1]);
      const target = row * columns * size[1] + column;
      y.set(x.subarray(source * depth, (source + 1) * depth), target * depth);
    }
  }
  return y;
}

function crop({ from, to, corner }, [x]) {
  const [, columns, depth] = from;
  const y = new Float32Array(to[0] * to[1] * depth);
  for (let row = 0; row < to[0]; row++) {
    const start = ((row + corner[0]) * columns + corner[1]) * depth;
    y.set(x.subarray(start, start + to[1] * depth), row * to[1] * depth);
  }
  return y;
}

function softplus(x) {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** The log-variance of the standard deviation log2(1 + 2^x). */
function smoothLogVar(x) {
  const t = Math.LN2 * x;
  return 2 * ((t < -15 ? t : Math.log(softplus(t))) - Math.log(Math.LN2));
}

/** The error function, to 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const terms = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const tail = terms.reduce((sum, term) => sum * t + term, 0) * t * Math.exp(-x * x);
  return Math.sign(x) * (1 - tail);
}
