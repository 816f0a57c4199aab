"""What keras_vae is compared with: a plain PyTorch loop and Pythae 0.1.2, on the same networks."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.architectures import ARCHITECTURES


def set_threads(threads):
    torch.set_num_threads(threads)


class TorchLoop:
    """A training step written by hand: eager PyTorch, Adam, data in memory."""

    def __init__(self, network, size):
        self.network = network
        self.encoder, self.decoder = networks(network, size)
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = torch.optim.Adam(parameters, 1e-3)
        if network == "vq":
            k, d = ARCHITECTURES["vq"]["num_codes"], ARCHITECTURES["vq"]["code_dim"]
            self.codebook, self.sums = torch.randn(2, k, d) * 0.05
            self.frequency = torch.ones(k)

    def train(self, x, batch):
        x = as_tensor(x)
        for indices in torch.randperm(len(x)).split(batch):
            loss = self.batch_loss(x[indices])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        loss.item()

    def batch_loss(self, x):
        return self.vq_loss(x) if self.network == "vq" else self.loss(x)

    def loss(self, x):
        x = (torch.rand_like(x) < x).float()
        mean, log_var = self.encoder(x).chunk(2, dim=-1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_var - mean**2 - log_var.exp())
        return (nll + kl) / len(x)

    def vq_loss(self, x):
        h = self.encoder(x).movedim(1, -1)
        flat = h.reshape(-1, h.shape[-1])
        with torch.no_grad():
            e = self.codebook
            codes = torch.argmin((e**2).sum(-1) - 2 * flat @ e.T, dim=-1)
            used = F.one_hot(codes, len(e)).float()
            self.frequency.lerp_(used.sum(0), 0.01)
            self.sums.lerp_(used.T @ flat, 0.01)
            quantized = e[codes].reshape(h.shape)
            self.codebook = self.sums / self.frequency.clamp(min=1e-5)[:, None]
        z = h + (quantized - h).detach()
        error = F.mse_loss(self.decoder(z.movedim(-1, 1)), x, reduction="sum")
        return (error + 0.25 * F.mse_loss(h, quantized, reduction="sum")) / len(x)


class Pythae:
    """Pythae's VAE (binary cross-entropy) and VQVAE (moving averages), through its own trainer."""

    def __init__(self, network, size):
        from pythae.models import VAE, VQVAE, VAEConfig, VQVAEConfig

        encoder, decoder = _pythae_networks(*networks(network, size), binary=network != "vq")
        shape = (1, size, size)
        if network == "vq":
            k = ARCHITECTURES["vq"]["num_codes"]
            config = VQVAEConfig(input_dim=shape, latent_dim=k, num_embeddings=k, use_ema=True)
            self.model = VQVAE(config, encoder, decoder)
        else:
            config = VAEConfig(input_dim=shape, latent_dim=16, reconstruction_loss="bce")
            self.model = VAE(config, encoder, decoder)
        self.trainers = {}

    def train(self, x, batch):
        from pythae.data.datasets import BaseDataset
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        if (len(x), batch) not in self.trainers:  # made in the warm-up
            config = BaseTrainerConfig(
                num_epochs=1,
                learning_rate=1e-3,
                per_device_train_batch_size=batch,
                no_cuda=not torch.cuda.is_available(),
            )
            dataset = BaseDataset(as_tensor(x), torch.zeros(len(x)))
            trainer = BaseTrainer(self.model, dataset, training_config=config)
            trainer.prepare_training()
            self.trainers = {(len(x), batch): trainer}
        self.trainers[len(x), batch].train_step(1)

    def nll(self, x, num_samples):
        with torch.no_grad():
            self.model.get_nll((as_tensor(x) > 0.5).float(), n_samples=num_samples)


CONTENDERS = {"torch-loop": TorchLoop, "pythae": Pythae}


def as_tensor(x):
    """Returns images as PyTorch takes them: float32 `(n, 1, height, width)` in [0, 1]."""
    return torch.from_numpy(np.moveaxis(x, -1, 1).astype("float32") / 255)


def networks(network, size):
    """Returns the encoder (to `(n, 2 * latent_dim)` or code vectors) and decoder (to logits)."""
    arguments = ARCHITECTURES[network]
    if network == "mlp":
        return _mlp(size, **arguments)
    return _conv(size, **arguments) if network == "conv" else _vq(**arguments)


def _mlp(size, latent_dim, hidden_units):
    widths = (size * size, *hidden_units)
    encoder = [nn.Flatten(), *_dense(widths), nn.Linear(widths[-1], 2 * latent_dim)]
    decoder = [*_dense((latent_dim, *widths[:0:-1])), nn.Linear(widths[1], size * size)]
    return (
        nn.Sequential(*encoder),
        nn.Sequential(*decoder, nn.Unflatten(-1, (1, size, size))),
    )


def _conv(size, latent_dim, filters, hidden_units):
    (a, b), (units,), small = filters, hidden_units, size // 4
    encoder = [
        *(nn.Conv2d(1, a, 3, 2, 1), nn.ReLU(), nn.Conv2d(a, b, 3, 2, 1), nn.ReLU(), nn.Flatten()),
        *(*_dense((b * small**2, units)), nn.Linear(units, 2 * latent_dim)),
    ]
    decoder = [
        *(*_dense((latent_dim, units, b * small**2)), nn.Unflatten(-1, (b, small, small))),
        *(nn.ConvTranspose2d(b, a, 3, 2, 1, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(a, a, 3, 2, 1, 1), nn.ReLU(), nn.Conv2d(a, 1, 3, 1, 1)),
    ]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def _vq(num_codes, code_dim, filters, blocks):
    (a, b) = filters
    encoder = [
        *(nn.Conv2d(1, a, 4, 2, 1), nn.ReLU(), nn.Conv2d(a, b, 4, 2, 1), nn.ReLU()),
        *(*(_Residual(b) for _ in range(blocks)), nn.Conv2d(b, code_dim, 1)),
    ]
    decoder = [
        *(nn.Conv2d(code_dim, b, 3, 1, 1), nn.ReLU(), *(_Residual(b) for _ in range(blocks))),
        *(nn.ConvTranspose2d(b, a, 4, 2, 1), nn.ReLU()),
        *(nn.ConvTranspose2d(a, a, 4, 2, 1), nn.ReLU(), nn.Conv2d(a, 1, 4, padding="same")),
    ]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


class _Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 1)

    def forward(self, x):
        return x + self.narrow(F.relu(self.wide(F.relu(x))))


def _dense(widths):
    for i, o in zip(widths, widths[1:]):
        yield from (nn.Linear(i, o), nn.ReLU())


def _pythae_networks(encoder, decoder, binary):
    """The networks as Pythae takes them."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.network = encoder

        def forward(self, x):
            h = self.network(x)
            if len(h.shape) > 2:
                return ModelOutput(embedding=h)
            mean, log_var = h.chunk(2, dim=-1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.network = decoder

        def forward(self, z):
            outputs = self.network(z)
            return ModelOutput(reconstruction=torch.sigmoid(outputs) if binary else outputs)

    return Encoder(), Decoder()
