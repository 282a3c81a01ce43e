"""Small networks and their training with Adam and AdamW, in numpy; seeds are fixed. A task with a shifted second domain."""

import numpy as np

CLASSES, SIDE, BATCH = 16, 32, 48


class Images:
    """Smooth shapes under noise; the second domain is shifted, dimmer, and has a stain."""

    def __init__(self, rng):
        smooth = (0.08 + np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))) ** 1.5
        shapes = np.real(np.fft.ifft2(np.fft.fft2(rng.normal(size=(CLASSES, SIDE, SIDE))) / smooth))
        shapes -= shapes.mean((1, 2), keepdims=True)
        self.shapes = (shapes / shapes.std(axis=(1, 2), keepdims=True)).astype(np.float32)
        self.stain = (0.6 * rng.normal(size=(SIDE, SIDE))).astype(np.float32)

    def batch(self, count, domain, rng):
        labels = rng.integers(0, CLASSES, count)
        noise = rng.standard_normal((count, SIDE, SIDE), dtype=np.float32) * np.float32(2.5)
        images = self.shapes[labels] * rng.uniform(0.5, 1.2, (count, 1, 1)).astype(np.float32) + noise
        if domain:
            images = np.roll(images, 2, axis=1) * np.float32(0.8) + self.stain
        return images.reshape(count, -1).astype(np.float32), labels


class Net:
    """Optionally one convolution (as a product over patches), then dense layers; leaky or plain ReLU."""

    def __init__(self, dense, conv=0, leak=0.01):
        self.dense, self.conv, self.leak = dense, conv, leak

    def names(self):
        layers = (["conv"] if self.conv else []) + [f"dense{i}" for i in range(len(self.dense) - 1)]
        return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]

    def start(self, rng):
        sizes = ([(self.conv, 25)] if self.conv else []) + list(zip(self.dense[1:], self.dense[:-1]))
        return [p for rows, columns in sizes
                for p in (rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(np.sqrt(2 / columns)),
                          np.zeros(rows, np.float32))]

    def act(self, z):
        return np.where(z > 0, z, np.float32(self.leak) * z)

    def slope(self, a):
        return np.where(a > 0, np.float32(1), np.float32(self.leak))

    def patches(self, x):
        windows = np.lib.stride_tricks.sliding_window_view(x.reshape(-1, SIDE, SIDE), (5, 5), axis=(1, 2))[:, ::4, ::4]
        return np.ascontiguousarray(windows).reshape(len(x), -1, 25)

    def forward(self, params, x):
        """Patches of the convolution and its output (or None twice), and what goes into and out of each dense layer."""
        patches = conv = None
        first = 2 if self.conv else 0
        if self.conv:
            patches = self.patches(x)
            conv = self.act(patches @ params[0].T + params[1])
            x = conv.reshape(len(x), -1)
        acts = [x]
        for k in range(first, len(params), 2):
            z = acts[-1] @ params[k].T + params[k + 1]
            acts.append(z if k == len(params) - 2 else self.act(z))
        return patches, conv, acts

    def gradients(self, params, x, labels, lowest=0):
        """Of the mean cross entropy, for the parameters from index `lowest` on; None for the others."""
        grads = [None] * len(params)
        first = 2 if self.conv else 0
        patches, conv, acts = self.forward(params, x)
        p = np.exp(acts[-1] - acts[-1].max(1, keepdims=True))
        g = p / p.sum(1, keepdims=True)
        g[np.arange(len(x)), labels] -= 1
        g /= np.float32(len(x))
        for i, k in reversed(list(enumerate(range(first, len(params), 2)))):
            if k < lowest:
                return grads
            grads[k], grads[k + 1] = g.T @ acts[i], g.sum(0)
            if i or self.conv:
                g = (g @ params[k]) * self.slope(acts[i])
        if self.conv:
            g = g.reshape(conv.shape)
            grads[0] = np.tensordot(g, patches, ((0, 1), (0, 1)))
            grads[1] = g.sum((0, 1))
        return grads

    def accuracy(self, params, images, domain, count=2000):
        x, labels = images.batch(count, domain, np.random.default_rng(99))
        return float((self.forward(params, x)[2][-1].argmax(1) == labels).mean())


def train(net, images, params, steps, rate, domain, seed, decay=0.01, lowest=0, mask=None):
    """AdamW (Adam with decay 0). Parameters below index `lowest` stay; `mask`: zeros that stay zero."""
    rng = np.random.default_rng(seed)
    params = [p.copy() for p in params]
    first, second = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    for t in range(1, steps + 1):
        x, labels = images.batch(BATCH, domain, rng)
        for k, g in enumerate(net.gradients(params, x, labels, lowest)):
            if g is None:
                continue
            first[k] += np.float32(0.1) * (g - first[k])
            second[k] += np.float32(0.001) * (np.square(g, out=g) - second[k])
            step = np.sqrt(second[k] / np.float32(1 - 0.999 ** t))
            step += np.float32(1e-8)
            np.divide(first[k], step, out=step)
            step *= np.float32(rate / (1 - 0.9 ** t))
            if decay:
                step += np.float32(rate * decay) * params[k]
            params[k] -= step
            if mask is not None and mask[k] is not None:
                params[k] = params[k] * mask[k] + np.float32(0)  # -0 becomes +0
    return params


def largest(p, share):
    """A mask of the largest `share` of a large matrix; None for what is not pruned."""
    if p.size < 100_000:
        return None
    return (np.abs(p) > np.quantile(np.abs(p).ravel()[::7], 1 - share)).astype(np.float32)


def masked(params, mask):
    return [p if m is None else p * m + np.float32(0) for p, m in zip(params, mask)]
