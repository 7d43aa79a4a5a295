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

_MEMBRANES = "https://raw.githubusercontent.com/zhixuhao/unet/b45af4d458/data/membrane/"
_OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"

_WORDNET = "https://raw.githubusercontent.com/villmow/datasets_knowledge_embedding/9e392453d6/WN18RR/original/"

_ETT = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/"

_ANALOGIES = "https://raw.githubusercontent.com/tmikolov/word2vec/20c129af10/"

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
36534858a447475fc3fadae87ee60a2a2a1d04151bd99369312b3338fa3486a7  bccd/BCCD.tar.gz
23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab  cora/ind.cora.x
94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1  cora/ind.cora.y
b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a  cora/ind.cora.tx
41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad  cora/ind.cora.ty
9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543  cora/ind.cora.allx
2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71  cora/ind.cora.ally
58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d  cora/ind.cora.graph
297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875  cora/ind.cora.test.index
c55ab2224d096363fef2eec026b783f6b08508cc865f1f9b7ed4bae4f6f2b9a0  babi/en-10k/qa1_single-supporting-fact_train.txt
809e52cc3c57ac66bf5a7268636a24e15ad1552d9b9bdac0eaca1680da9722e9  babi/en-10k/qa1_single-supporting-fact_test.txt
f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066  ett/ETTh1.csv
f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4  omniglot/images_background_small1.zip
437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325  omniglot/one-shot-classification/all_runs.zip
038612e783c215ee5f3ca9fbfca27b8d0739be1028fe4ee7c174aecf0b83d5df  wn18rr/train.txt
453ce7202afa58094a04d2b1560ee2b02660f1c260b32ce6651c8ccedd1028ab  wn18rr/valid.txt
0383bceaaa1096cf3c03ec021ed0048068e2355dbfc0239b292cefdac821cec5  wn18rr/test.txt
73b7b1e565fa75a1e22fe52ecdf41b6624d6f59dacb591d44252bf4d692b1628  conll2000/test.txt
82033cd7a72b209923a98007793e8f9de3abc1c8b79d646c50648eb949b87cea  conll2000/train.txt
8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36  word_analogy/questions-words.txt
9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8  multi30k/test_2016_flickr.de.gz
611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9  multi30k/test_2016_flickr.en.gz
726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6  multi30k/train.de.gz
d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f  multi30k/train.en.gz
f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a  multi30k/val.de.gz
14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28  multi30k/val.en.gz
12c0ed6f42fc09f512abf6b354f217c950e4c8223b57a0315449b62a14556523  isbi_membrane/train/image/0.png
2cfc7ee635a6f85d5faf5c82a71d3a37bf5af4784b554964e3e07193e3ee2166  isbi_membrane/train/image/1.png
7c3717bcd48c4b7e5c878d7f0b809b8687a4e6fac471f3863de320a82ee72b8a  isbi_membrane/train/image/10.png
dd7857b25ca1417f87c282750e22c50947f75e81fa032d4e0c96b902c9dc9757  isbi_membrane/train/image/11.png
9f8eff9239bb764d51524a998387a7babcff9f62161804651b030b81aabd5ab8  isbi_membrane/train/image/12.png
377e5cdbcd7f0ac7336f482fc7ead7446887863f26769b3841fe98aadca77dad  isbi_membrane/train/image/13.png
f50d2d77acd2df564c5f0f40b1b24cd929f5944460aa4cd90c422cb5cef33a59  isbi_membrane/train/image/14.png
3e13fdea09accc14f46fb2f3ffa1e882cdd9c53b28a6842c4c10229692c7d1a4  isbi_membrane/train/image/15.png
ffc951c12450f94129582c16fd0d4b165c4a31469b0c42d966f07c183d3132e2  isbi_membrane/train/image/16.png
0f4f7e8e0619e4c7d517ac68d3789a3b6248253747717eac418bb7d32bef4de3  isbi_membrane/train/image/17.png
1bb1edd50595861743d14e1955dfa5d3c9395fb87563eca6dc81433bf9df49de  isbi_membrane/train/image/18.png
999b55633f8d7082add72082656e9532c5c3d97203b376eb317f09ba88a5a5b7  isbi_membrane/train/image/19.png
fe60d8d4f93102666a23a18d718b4b59fab8e616987d11c5072f4a87fac7301f  isbi_membrane/train/image/2.png
9153d14bfd15955fab576ea23281c4f23104b45dceed6e03e0b254607f50a1b2  isbi_membrane/train/image/20.png
9ad07cf4f67984f17a08aa63e6d92d395ce55f5132e6ff4fa6d95d6890ea7f97  isbi_membrane/train/image/21.png
6278609b4c42a7cb43212de0e2e2ceded758bafe0856fb56214ce658a61668e4  isbi_membrane/train/image/22.png
9ef4e9fbc838b9791af83a36918d729a0ea2e90ebc71c4a3c4554059f9379756  isbi_membrane/train/image/23.png
f0f917b9c3e9c96d16ea287aff9b05ecf4de88bc61d478e4aefcb64932fba70c  isbi_membrane/train/image/24.png
e0154737e76392e8bf94fb2c0dfa5ddad4b53aeec942a0a8cdd8ba63443e6072  isbi_membrane/train/image/25.png
d0ff11e09b0ee0c817334946e746a38ab621161d5f9c46af95c68b851f8d9a1a  isbi_membrane/train/image/26.png
eed8e8bee1db8fe7af39b5b43ecf14282c5c33eca0959726eea06f662027eacc  isbi_membrane/train/image/27.png
974df4b51e8905bdaabe61e80496cbf331f5c9aa9ddc2cb94113f58c2b7d2837  isbi_membrane/train/image/28.png
d9ae868509c610a69acbf3d69cde4f36a8e344cbbc444f93c917bf7b9f3e784f  isbi_membrane/train/image/29.png
636d16cbb02f99dda4c9fb6db98dfba066142afa981ffdcfaf54453982e8250c  isbi_membrane/train/image/3.png
991fb3a8e4abc73da1d6159ca28fa4397f0a8351f30a8ba3669c86414d2ce239  isbi_membrane/train/image/4.png
7e9d9fb787664336d6f2cd68b23986f04527e7f8f494410983b4d70c6de1de3b  isbi_membrane/train/image/5.png
7c0a87933ffc72f4ff02f5996d9c3f69fe9a0b5277507415743ad8afb5e5d308  isbi_membrane/train/image/6.png
19f2c25716107d41008c83ba8a814ae47a090e00dea766dde38dce1f00899270  isbi_membrane/train/image/7.png
a8979e4abd1a10af9ca75e614d97875659adbd8ee3a68eba483bf556cfe3023d  isbi_membrane/train/image/8.png
730ebf435ab0f6e625d342552ad03736799fd660d0c6af744674c61a46aa082a  isbi_membrane/train/image/9.png
13b67edd7607a1f284c09170c96a27d38422b0ffaf88024ea5b689acb5e1b4b0  isbi_membrane/train/label/0.png
cff60a00de2901e67165c91d7708d784e4c5bcc9d1c8c677922c905d63bbc3d1  isbi_membrane/train/label/1.png
b0156cc8186b0ee521927ac95645b406a42d27564607a6fea3a59c34add78f7c  isbi_membrane/train/label/10.png
e47b3aa0cfb3106476af1666e631d45bd16dbf2aff88260ee65d16e4134332db  isbi_membrane/train/label/11.png
85a7a899c0b72b81633ad122887ba5161d650385d7775a5b3074eb00131b3620  isbi_membrane/train/label/12.png
88549c22fd647312d6b37e17d33e90800d347d60ccb1156a8dde5e67394f9f3d  isbi_membrane/train/label/13.png
bcd775017eb4fdbdfe7ad6cc6420b2f16aa9d0576894d08370edcf564b46680a  isbi_membrane/train/label/14.png
59a854887b504ff00a5b4b93b2299bbc0bf0cbe54dea58d2b31969229b28b369  isbi_membrane/train/label/15.png
b34eb88cdc3313a6f4190f5753465df7f69d8f3c243a5c25427b1b99ecfe2499  isbi_membrane/train/label/16.png
4fa076cbeb744803d987dc46cf308dc3026408e7a5188838e30e25fe3ea67dbe  isbi_membrane/train/label/17.png
bd009dda57f204804732f592ed1d41ba18961d83c492413fe71548efa4a288d9  isbi_membrane/train/label/18.png
bf38407c55b6033c1677230228ecb100a11294aa74a7b92e5edfdc4abadcfef9  isbi_membrane/train/label/19.png
a578af998c017f56763b81941c4dc612dde5731809b2cea0e8ebc37aecb84dbb  isbi_membrane/train/label/2.png
7af7296f2e892866669d4e4f9c0d4178987e6ec6e7d0751ec238d1bbe2da9c55  isbi_membrane/train/label/20.png
772c722acb2eac01769b53fa5037a3d62745e53102398bf9b2202df605cadda4  isbi_membrane/train/label/21.png
b19f5533ec24077a2395a085fe53af75dd350ef03798c4ff40ba9ebecb2ee0ad  isbi_membrane/train/label/22.png
2d8f1df5c9ee83e59eb2d709eb153b0570f12e726690f586154b01b0a88bb540  isbi_membrane/train/label/23.png
6ab02d922b5c937ecfe2a479be87a5d3e5ef950dc48da09d31f37b47d899ca9c  isbi_membrane/train/label/24.png
c5ea59aca7789dd507ac31c4a82bbd4c172f9e3544f8e040442c20d1dfa9e16d  isbi_membrane/train/label/25.png
b056fae9f358111b6c9e2494bdba645f206be581959b8d3763e97d62a65dd961  isbi_membrane/train/label/26.png
5be3823a57c82b632cead6eb09f438c6010a244dc0975f2a3e466f45d2c06840  isbi_membrane/train/label/27.png
c0b0e2a2b7aad46919d1afc980f7d5e39101fb07948ce65d9cac802d8b47682e  isbi_membrane/train/label/28.png
1e8839a97178914171defd6a97158f06fcac1fc3f0d45f2acdff9c49ab3fced9  isbi_membrane/train/label/29.png
c8ae3b843fed02e09411a24c10850160922c331041b17c2674025f05a99b8834  isbi_membrane/train/label/3.png
a2f19c01b5d982a97923a0d29e64127a05e3f496731480ac9d9d302b5427f7ff  isbi_membrane/train/label/4.png
2dd5779118f6f4d87f88ec112f1cea20663b50acb8c748b0db1f23eda82b5118  isbi_membrane/train/label/5.png
2b0984e9f31fb41d4c5f4a754a3e080036b7321a0cbd9591a62010d20a574ce7  isbi_membrane/train/label/6.png
2ebc8c835999589bfd7d80d81f83d24e5c41138362b0faafef0f009e1ce82144  isbi_membrane/train/label/7.png
db979010ca4fbdb38c8b32d455aed0da90d598153f2a0046b63d02a6efa32b9e  isbi_membrane/train/label/8.png
8ee6c79adbb740595c4d61776e065e7164c00d52c7dd7562b5279041e7f3567b  isbi_membrane/train/label/9.png
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
    **{path: _MEMBRANES + path.removeprefix("isbi_membrane/") for path in DIGESTS if path.startswith("isbi_membrane/")},
    **{path: _OMNIGLOT + path.removeprefix("omniglot/") for path in DIGESTS if path.startswith("omniglot/")},
    **{path: _WORDNET + path.removeprefix("wn18rr/") for path in DIGESTS if path.startswith("wn18rr/")},
    "word_analogy/questions-words.txt": _ANALOGIES + "questions-words.txt",
    "ett/ETTh1.csv": _ETT + "ETTh1.csv",
}
