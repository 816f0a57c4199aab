"""The networks that the contenders of benchmarks.speed and benchmarks.accelerator build."""

ARCHITECTURES = {
    "mlp": {"latent_dim": 16, "hidden_units": (512, 256)},
    "conv": {"latent_dim": 16, "filters": (32, 64), "hidden_units": (256,), "kernel_size": 3},
    "vq": {"num_codes": 512, "code_dim": 64, "filters": (32, 64), "blocks": 2},
    "ladder": {"latent_channels": 1, "filters": (16, 64, 64), "layers": (0, 4, 4)},
}
