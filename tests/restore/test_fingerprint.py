import torch

from bluref.restore.fingerprint import fingerprint
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig

TINY = NAFNetConfig(width=2, encoder=(1,), middle=1, decoder=(1,))


def network(seed=0):
    torch.manual_seed(seed)
    return NAFNet(TINY)


def test_a_fingerprint_is_of_the_weights_and_of_how_they_are_run():
    known = fingerprint(network(), window=8)
    assert fingerprint(network(), window=8) == known
    assert fingerprint(network(1), window=8) != known
    assert fingerprint(network(), window=None) != known
    assert fingerprint(network().double(), window=8) != known


def test_one_weight_changes_it():
    net = network()
    known = fingerprint(net)
    with torch.no_grad():
        next(net.parameters()).view(-1)[0].add_(1e-6)
    assert fingerprint(net) != known
