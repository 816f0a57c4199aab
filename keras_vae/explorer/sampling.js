"use strict";
// Draws from priors: functions of the prior in the file and the number of latents, `size`.

const PRIORS = {
  normal: (prior, weights, size) => normal(size),
  mixture,
  realnvp,
  pool: drawFromPool,
};

function normal(size) {
  return Float32Array.from({ length: size }, () => {
    // Box and Muller 1958; 1 - random is never 0.
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    return radius * Math.cos(2 * Math.PI * Math.random());
  });
}

/** mean_k + stddev_k * noise, with k drawn by the weights. */
function mixture(prior, weights, size) {
  const k = drawInProportion(weights[prior.weights]);
  const [mean, stddev] = [weights[prior.mean], weights[prior.stddev]];
  return normal(size).map((noise, j) => mean[k * size + j] + stddev[k * size + j] * noise);
}

function realnvp(prior, weights, size) {
  return fromNormal(prior, weights, normal(size));
}

/** Inverts the couplings: z = u * exp(s) + t, with s and t from the half that is kept. */
function fromNormal(prior, weights, u) {
  const z = Float32Array.from(u);
  for (const { kept, layers } of prior.couplings) {
    let h = z.map((value, j) => value * kept[j]);
    layers.forEach(({ kernel, bias }, i) => {
      const activation = i < layers.length - 1 ? prior.activation : "linear";
      h = dense({ kernel: weights[kernel], bias: weights[bias], activation }, [h]);
    });
    for (let j = 0; j < z.length; j++) {
      if (kept[j]) continue;
      const s = 2 * Math.tanh(0.5 * h[j]);
      z[j] = z[j] * Math.exp(s) + h[z.length + j];
    }
  }
  return z;
}

/** One of the draws that Python made. */
function drawFromPool(prior, weights, size) {
  if (prior.draws) return Int32Array.from(prior.draws[whole(prior.draws.length)]);
  const at = whole(prior.count) * size;
  return weights[prior.latents].slice(at, at + size);
}

/** Draws an index in proportion to the shares. */
function drawInProportion(shares) {
  let left = Math.random() * shares.reduce((sum, share) => sum + share, 0);
  const found = shares.findIndex((share) => (left -= share) < 0);
  return found < 0 ? shares.length - 1 : found;
}

/** Draws a whole number below a bound. */
function whole(bound) {
  return Math.floor(Math.random() * bound);
}
