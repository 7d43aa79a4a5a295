"""The official data files: the digest each must have and, where one is stable, the address it can be had from.

Paths are relative to the data folder; the lists are what `sha256sum` and `md5sum` print there. No SHA-256 is published
of the unpacked CIFAR-10 batches 2 to 5: the MD5s are those that torchvision checks. `fsdd/recordings` is no file: its
digest is that of what `LC_ALL=C sha256sum *.wav` prints there, so the recordings may be packed in any way.
"""

_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_FSDD = (
    "https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/tar.gz/26eb9aaf76e81b692f806f9140c2d2777410d7a1"
)
_NAB = "https://raw.githubusercontent.com/numenta/NAB/ea702d75cc2258d9d7dd35ca8e5e2539d71f3140/"
_POLARITY = "https://raw.githubusercontent.com/yoonkim/CNN_sentence/4abc8df1de694999ff54826854d3ebc53e3e9c20/"
_CHARACTERS = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/"
_MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b/data/task1/raw/"
_PLANETOID = "https://raw.githubusercontent.com/kimiyoung/planetoid/master/data/"

_OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"

_ETT = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/"

_SHA256 = """
440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609  mnist/train-images-idx3-ubyte.gz
3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c  mnist/train-labels-idx1-ubyte.gz
8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6  mnist/t10k-images-idx3-ubyte.gz
f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6  mnist/t10k-labels-idx1-ubyte.gz
3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84  fashion_mnist/train-images-idx3-ubyte.gz
a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845  fashion_mnist/train-labels-idx1-ubyte.gz
346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073  fashion_mnist/t10k-images-idx3-ubyte.gz
67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5  fashion_mnist/t10k-labels-idx1-ubyte.gz
6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce  cifar10/cifar-10-python.tar.gz
880a31d350bdb45370c76e115c0ceee822c56ebf37ae1af8496f2f45aa8f20a9  cifar10/cifar-10-batches-py/data_batch_1.xz
84aeae3bc5d85110d875e63dbbfc70e6427a54b2294986e2150202f256a1f4c6  cifar10/cifar-10-batches-py/test_batch.xz
54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd  cifar10/cifar-10-batches-py/data_batch_1
f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831  cifar10/cifar-10-batches-py/test_batch
1801eae019c063377d98f831d3f93574f259475df7332bb0e3d1b080fb5e6959  fsdd/recordings
4ace77d558c3714723843f1d65b60c01e3417b208180f0728808d76ad0eeeaca  rt_polarity/rt-polarity.neg
2da124ec187a9d5a29c9f04e91c540e02baed5af8868f550a26bd6fd4dbf8bf0  rt_polarity/rt-polarity.pos
230b68ccca20f59d562afd5d24ad52939c9b784386bed0054018358bf9120581  nab/data/realKnownCause/ambient_temperature_system_failure.csv
58ba65dc0737cfbac11b51514476d50c438d44011232144bb8d93f392df58f9f  nab/data/realKnownCause/cpu_utilization_asg_misconfiguration.csv
98378580aa80157e057c61d59d81daddccc6c65a2c0c800e3f01f603b8215c3f  nab/data/realKnownCause/ec2_request_latency_system_failure.csv
92bf5b87fc7f9bba8ca0b7ec63ccaac8cb4a1371a258e8c29a10ae9c018d82a4  nab/data/realKnownCause/machine_temperature_system_failure.csv
d8fa6f7f0734bf5c8be12c52a94e20a82664c397d9dec4449156bd453d32856d  nab/data/realKnownCause/nyc_taxi.csv
47b110baa8e3636574c1033dda1cce780873647fab58223d159d4fee6f180e86  nab/data/realKnownCause/rogue_agent_key_hold.csv
9797cfef477c13306f7a33874ab4d6cf700f8f2c7e5825a2a5bc02004370909a  nab/data/realKnownCause/rogue_agent_key_updown.csv
1e1fbc4601321aad8d0f8b3784c8134299379f68f6c1f7777565f8ffd57ab6b1  nab/labels/combined_windows.json
86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed  tinyshakespeare/input.txt
fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf  ptb/ptb.train.txt
c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2  ptb/ptb.valid.txt
dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0  ptb/ptb.test.txt
d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f  multi30k/train.en.gz
726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6  multi30k/train.de.gz
14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28  multi30k/val.en.gz
f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a  multi30k/val.de.gz
611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9  multi30k/test_2016_flickr.en.gz
9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8  multi30k/test_2016_flickr.de.gz
23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab  cora/ind.cora.x
94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1  cora/ind.cora.y
b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a  cora/ind.cora.tx
41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad  cora/ind.cora.ty
9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543  cora/ind.cora.allx
2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71  cora/ind.cora.ally
58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d  cora/ind.cora.graph
297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875  cora/ind.cora.test.index
f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066  ett/ETTh1.csv
f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4  omniglot/images_background_small1.zip
437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325  omniglot/one-shot-classification/all_runs.zip
73b7b1e565fa75a1e22fe52ecdf41b6624d6f59dacb591d44252bf4d692b1628  conll2000/test.txt
82033cd7a72b209923a98007793e8f9de3abc1c8b79d646c50648eb949b87cea  conll2000/train.txt
9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8  multi30k/test_2016_flickr.de.gz
611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9  multi30k/test_2016_flickr.en.gz
726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6  multi30k/train.de.gz
d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f  multi30k/train.en.gz
f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a  multi30k/val.de.gz
14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28  multi30k/val.en.gz
"""  # noqa: E501

_MD5 = """
d4bba439e000b95fd0a9bffe97cbabec  cifar10/cifar-10-batches-py/data_batch_2
54ebc095f3ab1f0389bbae665268c751  cifar10/cifar-10-batches-py/data_batch_3
634d18415352ddfa80567beed471001a  cifar10/cifar-10-batches-py/data_batch_4
482c414d41f54cd18b22e5b47cb7c3cb  cifar10/cifar-10-batches-py/data_batch_5
"""

DIGESTS = {
    path: f"{algorithm}:{digest}"
    for algorithm, listing in (("sha256", _SHA256), ("md5", _MD5))
    for digest, path in (line.split() for line in listing.strip().splitlines())
}

URLS = {
    **{path: _MNIST + path.removeprefix("mnist/") for path in DIGESTS if path.startswith("mnist/")},
    **{path: _FASHION + path.removeprefix("fashion_mnist/") for path in DIGESTS if path.startswith("fashion_mnist/")},
    "cifar10/cifar-10-python.tar.gz": _CIFAR + "cifar-10-python.tar.gz",
    "fsdd/free-spoken-digit-dataset.tar.gz": _FSDD,
    **{path: _POLARITY + path.removeprefix("rt_polarity/") for path in DIGESTS if path.startswith("rt_polarity/")},
    **{path: _NAB + path.removeprefix("nab/") for path in DIGESTS if path.startswith("nab/")},
    **{path: _CHARACTERS + path for path in DIGESTS if path.startswith("tinyshakespeare/")},
    **{path: _MULTI30K + path.removeprefix("multi30k/") for path in DIGESTS if path.startswith("multi30k/")},
    **{path: _PLANETOID + path.removeprefix("cora/") for path in DIGESTS if path.startswith("cora/")},
    **{path: _OMNIGLOT + path.removeprefix("omniglot/") for path in DIGESTS if path.startswith("omniglot/")},
    "ett/ETTh1.csv": _ETT + "ETTh1.csv",
}
