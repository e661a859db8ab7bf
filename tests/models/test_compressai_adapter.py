"""CompressAI's models through our coder, against CompressAI's own coder on the same weights.

The networks are small and trained for a second or two: enough for symbols that vary.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

reason = "CompressAI is not installed"
zoo = pytest.importorskip("compressai.models", reason=reason)

from lictor import models  # noqa: E402
from lictor.entropy import CorruptStream, Decoder, Encoder  # noqa: E402
from lictor.models import registry  # noqa: E402
from lictor.models.picture.compressai_adapter import _diagonals, scale_index  # noqa: E402
from lictor.models.picture.compressai_import import BadName, import_weights  # noqa: E402
from lictor.models.quality import Quality  # noqa: E402

NETWORKS = {
    "bmshj2018-factorized": lambda: zoo.FactorizedPrior(12, 16),
    "bmshj2018-hyperprior": lambda: zoo.ScaleHyperprior(12, 16),
    "mbt2018-mean": lambda: zoo.MeanScaleHyperprior(12, 16),
    "cheng2020-anchor": lambda: zoo.Cheng2020Anchor(12),
}
FACTORISED, SCALES, MEANS, NEIGHBOURS = NETWORKS


def picture(height, width):
    from skimage import data

    pixels = np.ascontiguousarray(data.astronaut()[:height, :width])
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def trained(architecture):
    """A network of CompressAI, in eval mode and with tables of its own."""
    torch.manual_seed(1)
    random = np.random.default_rng(1)
    x = picture(512, 512)
    net = NETWORKS[architecture]()
    with torch.no_grad():
        net.g_a[6].weight.mul_(30)
    parameters = [p for name, p in net.named_parameters() if not name.endswith("quantiles")]
    optimiser = torch.optim.Adam(parameters, 3e-3)
    for _ in range(100):
        top, left = random.integers(0, 448, 2)
        crop = x[:, :, top : top + 64, left : left + 64]
        out = net(crop)
        bits = sum(-p.log2().sum() for p in out["likelihoods"].values())
        loss = bits / 64**2 + 0.05 * (out["x_hat"] - crop).square().mean() * 255**2
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
    net.eval().requires_grad_(False)
    net.update(update_quantiles=True)
    return net


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def make(folder):
    """architecture -> CompressAI's network and the same weights as a model of ours."""
    made = {}

    def pair(architecture):
        if architecture not in made:
            net = trained(architecture)
            path = import_weights(architecture, net.state_dict(), folder, "test")
            made[architecture] = net, models.load(str(path))
        return made[architecture]

    return pair


@pytest.fixture(params=NETWORKS)
def pair(request, make):
    return make(request.param)


def write(model, x):
    encoder = Encoder()
    model.encode(x, Quality.of(50), encoder)
    return encoder.finish()


def read(model, shape, data):
    decoder = Decoder(data)
    out = model.decode(shape, Quality.of(50), decoder)
    decoder.close()
    return out


def coded_latent(model, shape, data):
    """The y_hat that decoding leads to."""
    seen = []
    hook = model.net.g_s.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    read(model, shape, data)
    hook.remove()
    return seen[0]


# ---------------------------------------------------------------- the same as CompressAI


def test_reconstruction_is_that_of_compressai(pair):
    net, model = pair
    x = picture(192, 256)
    theirs = net.decompress(**net.compress(x))["x_hat"]
    ours = read(model, (192, 256), write(model, x))
    # Means are rounded to 1/1024, and a symbol may fall to the other side of a tie.
    tolerance = 1e-5 if model.name.startswith("bmshj2018") else 2e-3
    assert (ours - theirs).abs().mean() < tolerance


def test_symbols_are_those_of_compressai(pair):
    net, model = pair
    x = picture(192, 256)
    y = net.g_a(x)
    y_hat = coded_latent(model, (192, 256), write(model, x))
    if model.name.startswith(FACTORISED):
        mean = net.entropy_bottleneck._get_medians()[:, :, :, None].transpose(0, 1)
        assert mean.abs().max() > 0.01
    else:
        z_hat, _ = net.entropy_bottleneck(net.h_a(y.abs() if model.name.startswith(SCALES) else y))
        params = net.h_s(z_hat)
        if model.name.startswith(NEIGHBOURS):
            params = torch.cat((params, net.context_prediction(y_hat)), dim=1)
            params = net.entropy_parameters(params)
        mean = 0 if model.name.startswith(SCALES) else params.chunk(2, 1)[1]
    expected = (y - mean).round()
    symbols = y_hat - mean
    assert len(expected.unique()) > 5
    assert (symbols - symbols.round()).abs().max() < 2e-3
    tie = ((y - mean - expected).abs() - 0.5).abs() < 2e-3
    assert ((symbols.round() == expected) | tie).all()
    assert tie.float().mean() < 0.05


def test_size_is_that_of_compressai_and_of_the_estimate(pair):
    net, model = pair
    x = picture(512, 512)
    theirs = sum(len(s[0]) for s in net.compress(x)["strings"])
    ours = len(write(model, x))
    estimate = model.estimate(x, Quality.of(50)) / 8
    assert ours > 500
    assert ours <= 1.01 * theirs + 8
    assert abs(ours - estimate) <= 0.005 * estimate + 40


def test_estimate_is_what_the_likelihoods_say(make):
    for architecture in (FACTORISED, SCALES, MEANS):
        net, model = make(architecture)
        x = picture(128, 64)
        bits = sum(-p.log2().sum().item() for p in net(x)["likelihoods"].values())
        assert model.estimate(x, Quality.of(0)) == pytest.approx(bits, rel=5e-3)
        assert model(x, torch.zeros(1)).bits.item() == pytest.approx(bits, rel=1e-5)


# ---------------------------------------------------------------- coding


@pytest.mark.parametrize("shape", [(1, 1), (1, 65), (63, 130), (100, 64)])
def test_any_size(pair, shape):
    net, model = pair
    h, w = shape
    x = picture(h, w)
    out = read(model, shape, write(model, x))
    assert out.shape == x.shape
    assert out.dtype == torch.float32
    padded = F.pad(x, (0, -w % model.stride, 0, -h % model.stride), mode="replicate")
    theirs = net.decompress(**net.compress(padded))["x_hat"][:, :, :h, :w]
    # Where a symbol fell to the other side of a tie, those after it may, too, with NEIGHBOURS.
    assert (out - theirs).abs().mean() < (2e-2 if model.name.startswith(NEIGHBOURS) else 2e-3)


def test_files(pair, folder, monkeypatch):
    from lictor.codec import decode, encode, info

    _, model = pair
    monkeypatch.setenv("LICTOR_CHECKPOINTS", str(folder))
    x = picture(33, 70)
    data = encode((x[0] * 255).byte().permute(1, 2, 0).numpy(), model=model.name)
    assert info(data).model == model.name
    decoded = torch.from_numpy(np.asarray(decode(data)).copy()).permute(2, 0, 1)[None]
    ours = read(model, (33, 70), write(model, x))
    assert (decoded - ours * 255).abs().max() <= 0.51


def test_threads_do_not_matter(pair):
    _, model = pair
    x = picture(96, 160)
    threads = torch.get_num_threads()
    try:
        results = []
        for n in (1, 2):
            torch.set_num_threads(n)
            data = write(model, x)
            results.append((data, (read(model, (96, 160), data) * 255).round()))
            model._forget()
    finally:
        torch.set_num_threads(threads)
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


def test_a_hostile_stream_does_no_more_than_fail(pair):
    _, model = pair
    random = np.random.default_rng(3)
    good = write(model, picture(64, 64))
    for data in (b"\0", good[:-2], good[:1] + random.bytes(len(good)), good[:1] + b"\xff" * 4000):
        try:
            decoder = Decoder(data)
            out = model.decode((64, 64), Quality.of(50), decoder)
            assert out.isfinite().all()
            decoder.close()
        except CorruptStream:
            pass


def test_scale_index_is_the_nearest_in_octaves():
    octaves = torch.tensor([-9.0, 0.0, 0.03, 0.032, 1.0, 4.0, 5.0, 11.87, 99.0]).double()
    assert scale_index(0.11 * 2**octaves).tolist() == [0, 0, 0, 1, 16, 64, 72, 127, 127]
    assert scale_index(torch.tensor([-1.0, 0.0]).double()).tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (4, 4), (8, 12), (12, 3)])
def test_diagonals_code_each_pixel_once_and_after_its_neighbours(shape):
    h, w = shape
    turns = np.full(shape, -1)
    for turn, (rows, columns) in enumerate(_diagonals(h, w)):
        assert (turns[rows, columns] == -1).all()
        turns[rows, columns] = turn
    assert (turns >= 0).all()
    for dy, dx in [(0, 1), (0, 2), (1, -2), (1, 2), (2, -2), (2, 2)]:
        now = turns[dy:, max(dx, 0) : w + min(dx, 0)]
        before = turns[: h - dy, max(-dx, 0) : w - max(dx, 0)]
        assert (before < now).all()


# ---------------------------------------------------------------- weights


def test_import_keeps_weights_and_finds_their_widths(make):
    net, model = make(MEANS)
    assert (model.net.N, model.net.M) == (12, 16)
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, model.net.get_parameter(name))


def as_saved_by_old_versions(state):
    """The names of CompressAI before 1.2.7, from several devices."""
    renamed = {}
    for name, tensor in state.items():
        head, _, number = name.rpartition(".")
        for new, old in (("matrices", "_matrix"), ("biases", "_bias"), ("factors", "_factor")):
            if head.endswith(new):
                name = head.replace(new, old) + number
        renamed["module." + name.replace(".skip.", ".downsample.")] = tensor
    return renamed


@pytest.mark.parametrize("architecture", [MEANS, NEIGHBOURS])
def test_files_of_compressai_are_understood(make, tmp_path, architecture):
    net, model = make(architecture)
    state = net.state_dict()
    old = as_saved_by_old_versions(state)
    assert old.keys() != state.keys()
    torch.save(state, tmp_path / "new.pth")
    torch.save({"epoch": 3, "state_dict": old, "optimizer": {}}, tmp_path / "old.pth.tar")
    x = picture(64, 64)
    for source, tag in (("new.pth", "a"), ("old.pth.tar", "b")):
        path = import_weights(architecture, tmp_path / source, tmp_path, tag)
        assert path.name == f"{architecture}.{tag}.safetensors"
        again = models.load(str(path))
        assert again.name == f"{architecture}.{tag}"
        assert write(again, x) == write(model, x)


def test_tables_come_from_the_file(make, folder, monkeypatch):
    net, _ = make(MEANS)
    path = import_weights(MEANS, net.state_dict(), folder, "tables")
    monkeypatch.delattr("lictor.models.coding.compressai_prior._masses")
    model = models.load(str(path))
    write(model, picture(64, 64))


def test_more_channels_than_one_set_of_tables(folder):
    torch.manual_seed(2)
    net = zoo.FactorizedPrior(8, 320)
    torch.nn.init.normal_(net.g_a[6].weight, std=3.0)
    model = models.load(str(import_weights(FACTORISED, net.state_dict(), folder, "wide")))
    x = picture(48, 64)
    padded = coded_latent(model, (48, 64), write(model, x))
    assert torch.equal(padded, net.eval().g_a(x).round())
    assert len(padded.unique()) > 20


def test_training_goes_on_and_tables_follow(make, tmp_path):
    net, _ = make(MEANS)
    model = registry.create(MEANS)
    model.take({n: p.clone() for n, p in net.named_parameters()})
    before = model.export()
    model.train()
    out = model(picture(64, 64), torch.zeros(1))
    (out.bits.sum() + out.x_hat.sum()).backward()
    with torch.no_grad():
        for bias in model.net.entropy_bottleneck.biases:
            bias.add_(bias.grad.sign())
    after = model.eval().export()
    assert not torch.equal(before["prior.frequencies"], after["prior.frequencies"])
    with torch.no_grad():
        model.net.entropy_bottleneck.quantiles.add_(3)
    shifted = model.export()
    assert not torch.equal(after["prior.offsets"], shifted["prior.offsets"])
    x = picture(64, 64)
    assert read(model, (64, 64), write(model, x)).shape == x.shape


@pytest.mark.parametrize("architecture", NETWORKS)
def test_fresh_models_code(architecture):
    torch.manual_seed(0)
    model = registry.create(architecture).eval()
    x = picture(20, 30)
    assert read(model, (20, 30), write(model, x)).shape == x.shape


# ---------------------------------------------------------------- what can be wrong


def damaged(name, change):
    def damage(state):
        state[name] = change(state[name])

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.clear(), "g_a.0.weight is missing"),
        (lambda s: s.pop("h_s.0.bias"), "h_s.0.bias is missing"),
        (lambda s: s.update(other=torch.zeros(3)), "other is not part of it"),
        (damaged("h_s.0.bias", lambda t: t[1:]), "h_s.0.bias has shape"),
        (damaged("g_a.0.weight", lambda t: t[0, 0, 0, 0]), "g_a.0.weight is no convolution"),
        (damaged("g_a.0.bias", lambda t: t / 0), "not finite"),
        (damaged("g_a.0.bias", lambda t: t.tolist()), "no tensor"),
    ],
)
def test_other_weights_are_refused(make, tmp_path, damage, message):
    state = dict(make(MEANS)[0].state_dict())
    damage(state)
    with pytest.raises(models.BadCheckpoint, match=message):
        import_weights(MEANS, state, tmp_path, "bad")
    assert not list(tmp_path.iterdir())


def test_weights_of_another_architecture_are_refused(make, tmp_path):
    with pytest.raises(models.BadCheckpoint, match="not weights of mbt2018-mean"):
        import_weights(MEANS, make(FACTORISED)[0].state_dict(), tmp_path, "bad")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04" + bytes(60), None])
def test_files_of_something_else_are_refused(tmp_path, content):
    path = tmp_path / "a.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(models.BadCheckpoint, match=r"a\.pth: (not a state dict|cannot be read)"):
        import_weights(MEANS, path, tmp_path, "bad")


def test_a_pickled_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pth")
    with pytest.raises(models.BadCheckpoint, match="not a state dict"):
        import_weights(MEANS, tmp_path / "a.pth", tmp_path, "bad")


def test_other_architectures_are_refused(tmp_path):
    with pytest.raises(models.UnknownModel, match="give one of bmshj2018-factorized"):
        import_weights("lictor-s", {}, tmp_path, "t")


@pytest.mark.parametrize(
    ("out", "tag"),
    [
        ("", None),
        ("mine.safetensors", None),
        ("mbt2018-mean.safetensors", "mine"),
        ("mbt2018-mean.mine.pth", None),
        ("mbt2018-mean.mine.safetensors", "yours"),
        ("mbt2018-mean..safetensors", None),
        ("", "../mine"),
        ("", "m" * 60),
    ],
)
def test_names_that_no_decoder_would_find_are_refused(tmp_path, out, tag):
    with pytest.raises(BadName, match=r"tag|call it"):
        import_weights(MEANS, {}, tmp_path / out, tag)


def test_a_weights_file_without_tables_is_refused(make, tmp_path):
    from safetensors.torch import load_file, save_file

    path = import_weights(MEANS, make(MEANS)[0].state_dict(), tmp_path, "cut")
    tensors = load_file(path)
    del tensors["prior.lengths"]
    save_file(tensors, path, {"format": "lictor-1", "name": "mbt2018-mean.cut"})
    with pytest.raises(models.BadCheckpoint, match="does not hold the weights of mbt2018-mean"):
        models.load(str(path))


def test_padding_is_no_more_than_the_model_needs(make):
    # Repeating the edge and cropping again leaves what a picture of the full size has.
    _, model = make(FACTORISED)
    x = picture(20, 40)
    padded = F.pad(x, (0, 8, 0, 12), mode="replicate")
    assert write(model, x) == write(model, padded)
