"use strict";
// The mean of the data, from a decoder's outputs: what the likelihoods' `mean` does in Python.

const MEANS = {
  activation: ({ activation }, outputs) => activate(outputs.slice(), activation),
  location: ({ channels }, outputs) => halve(outputs, channels)[0],
  logistic({ channels, bounds }, outputs) {
    const [means, logScales] = halve(outputs, channels);
    return means.map((mean, i) => toUnit(clippedMean(mean, bounded(logScales[i], bounds))));
  },
  mixture: meanOfMixture,
  count: ({ channels, parts, bounds }, outputs) =>
    (parts === 2 ? halve(outputs, channels)[0] : outputs).map((v) => Math.exp(bounded(v, bounds))),
};

/** Of each pixel: the logits, means and log-scales of the channels, and factors, K of each. */
function meanOfMixture({ channels, components, bounds }, outputs) {
  const numbers = 1 + 2 * channels + (channels * (channels - 1)) / 2;
  const pixels = outputs.length / (numbers * components);
  const y = new Float32Array(pixels * channels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const at = (number, k) => outputs[(pixel * numbers + number) * components + k];
    const logits = Array.from({ length: components }, (_, k) => at(0, k));
    const highest = Math.max(...logits);
    const weights = logits.map((logit) => Math.exp(logit - highest));
    const total = weights.reduce((sum, weight) => sum + weight);
    for (let k = 0; k < components; k++) {
      const expected = [];
      for (let c = 0; c < channels; c++) {
        const first = 1 + 2 * channels + (c * (c - 1)) / 2;
        const mean = expected.reduce(
          (sum, other, j) => sum + Math.tanh(at(first + j, k)) * other,
          at(1 + c, k),
        );
        expected.push(clippedMean(mean, bounded(at(1 + channels + c, k), bounds)));
        y[pixel * channels + c] += (weights[k] / total) * expected[c];
      }
    }
  }
  return y.map(toUnit);
}

/** The mean of a logistic whose values are clipped to [-1, 1]. */
function clippedMean(mean, logScale) {
  const [scale, size] = [Math.exp(logScale), Math.abs(mean)];
  const below = softplus((1 - size) / scale) - softplus(-(1 + size) / scale);
  return Math.sign(mean) * (1 - scale * below);
}

/** Keeps a value between two bounds, smoothly. */
function bounded(value, [low, high]) {
  const v = Math.min(Math.max(value, low - 50), high + 50);
  return v + softplus(low - v) - softplus(v - high);
}

function toUnit(value) {
  return Math.min(Math.max((value + 1) / 2, 0), 1);
}
