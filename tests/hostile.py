"""Names made to break out of a shell, an option, a path or a URL."""

_PAYLOADS = ["touch pwned", "touch ${TMPDIR:-/tmp}/pwned", "id>pwned"]
_FRAMES = [
    "$({})", "`{}`", ";{};", "|{}", "&&{}", "||{}", "&{}&", "\n{}\n", "'{}'", "';{};'", '"{}"', '";{};"', "\\{}",
    "${{{}}}", ">{}", "$'{}'",
]  # fmt: skip
NAMES = [frame.format(payload).replace("/", "") for payload in _PAYLOADS for frame in _FRAMES]
NAMES += ["-oProxyCommand=touch pwned", "--", "-rf", "*", "~", "a b", "\t", "%h%p%r", "..", "\u202egpj.exe", "!!", "#x"]
assert len(set(NAMES)) >= 50
