#!/usr/bin/env python3
"""Checks Sluice's own rule set without an engine: syntax, identity, and that each rule carries its tests.

    Tests/Rules/check.py [RULES_DIR]

What is checked of every rule is the list of `check_` functions below; the format of the tests is in rules/README.md.
Prints one line for each failure and `N passed, N failed` at the end; exit status 1 if anything failed.
A rule, a test and a data file count as one check each.
"""
import pathlib
import re
import sys

SIDS = range(9_000_001, 9_100_000)
SIDS_PER_FILE = 1000
FAST_PATTERN_BYTES_MIN = 4

BUFFERS = set("""
    http.uri http.uri.raw http.method http.request_body http.response_body http.host http.header_names http.header
    http.user_agent http.stat_code http.content_type http.cookie http.content_len http.accept http.start http.referer
    http.connection http.request_line http.location http.server http.protocol file.data dns.query tls.sni
    tls.cert_subject tls.cert_issuer tls.cert_serial tls.certs ja3.hash ja3s.hash base64_data
    """.split())
CONTENT_MODIFIERS = set("nocase depth offset distance within startswith endswith fast_pattern".split())
PAYLOAD = set("""
    content pcre bsize dsize urilen isdataat byte_test byte_jump byte_extract base64_decode dotprefix tls.version
    """.split())
STATE = set("flow flowbits xbits threshold detection_filter flags itype icode icmp_id".split())
META = set("msg metadata reference classtype sid rev priority target".split())
KEYWORDS = BUFFERS | CONTENT_MODIFIERS | PAYLOAD | STATE | META
FLAG_KEYWORDS = BUFFERS | {"nocase", "startswith", "endswith", "dotprefix"}  # never take a value
ACTIONS = {"alert", "drop"}
PROTOCOLS = {"http", "dns", "tls", "tcp", "udp", "icmp", "ip", "tcp-pkt", "tcp-stream", "smtp", "ftp", "ssh", "smb"}
VARIABLES = {"$HOME_NET", "$EXTERNAL_NET", "$HTTP_SERVERS", "$SMTP_SERVERS", "$SQL_SERVERS", "$DNS_SERVERS"}
METADATA = {
    "created_at": r"20\d\d_\d\d_\d\d",
    "confidence": r"High|Medium|Low",
    "signature_severity": r"Critical|Major|Minor|Informational",
    "mitre_technique_id": r"T\d{4}(?:\.\d{3})?",
}

# A rule without any content must have one of these: each is cheap and rules out nearly all traffic.
SELF_SELECTING = ("bsize", "dsize", "flags", "itype", "tls.version")

# Kind of test -> keys it must have, keys it may have. Every kind may have COMMON_KEYS.
COMMON_KEYS = {"client", "server", "repeat"}
KINDS = {
    "http-request": (set(), set()),
    "http-response": (set(), set()),
    "http-exchange": (set(), set()),
    "tcp": ({"port"}, set()),
    "tcp-response": ({"port"}, set()),
    "udp": ({"port"}, set()),
    "dns-query": ({"name", "type"}, set()),
    "dns-response": ({"name", "type", "data"}, set()),
    "tls-client-hello": (set(), {"sni", "version", "ciphers", "extensions", "groups", "formats"}),
    "tls-certificate": ({"subject", "issuer"}, {"serial", "version"}),
    "icmp": ({"type", "code"}, {"id"}),
    "packet": (set(), {"flags", "port", "proto"}),
}
TEST_LINE = re.compile(r"# test: (alert|quiet) ([a-z-]+)((?: [a-z0-9]+=(?:\"[^\"]*\"|[^\s\"]\S*))*)$")
KEY_VALUE = re.compile(r" ([a-z0-9]+)=(\"[^\"]*\"|\S+)")


class Problem(Exception):
    """Says what is wrong with one rule, test or data file."""


# ---- tests beside the rules ----

def unescape(text):
    """Bytes of a test text: `\\xHH`, `\\\\` and `\\n` are escapes, everything else is UTF-8."""
    out, index = bytearray(), 0
    while index < len(text):
        if text[index] != "\\":
            end = text.find("\\", index)
            end = len(text) if end < 0 else end
            out += text[index:end].encode()
            index = end
            continue
        escape = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(\\)|(n))").match(text, index)
        if not escape:
            raise Problem(f"unknown escape in test text: {text[index:index + 4]}")
        out += bytes.fromhex(escape[1]) if escape[1] else b"\\" if escape[2] else b"\n"
        index = escape.end()
    return bytes(out)


class Test:
    """One `# test:` block: whether the rule must fire, on what kind of traffic, with which text."""

    def __init__(self, line):
        found = TEST_LINE.match(line)
        if not found:
            raise Problem(f"malformed test line: {line}")
        self.fires, self.kind = found[1] == "alert", found[2]
        self.keys = {key: unescape(value.strip('"')).decode("utf-8", "surrogateescape")
                     for key, value in KEY_VALUE.findall(found[3])}
        self.parts = [bytearray()]  # two for http-exchange: request, response
        self.ended = False

    def add(self, line):
        if line == "# ---":
            self.parts.append(bytearray())
            self.ended = False
            return
        if self.ended:
            raise Problem("text follows a line without line end (`# |.`)")
        if line.startswith("# |. "):
            self.parts[-1] += unescape(line[5:])
            self.ended = True
        elif line == "# |" or line.startswith("# | "):
            self.parts[-1] += unescape(line[4:]) + b"\r\n"
        else:
            raise Problem(f"malformed text line: {line}")

    def texts(self):
        """The parts as sent, with each `Content-Length: @` filled in."""
        return [fill_content_length(bytes(part)) for part in self.parts]

    def check(self):
        if self.kind not in KINDS:
            raise Problem(f"unknown kind of test: {self.kind}")
        must, may = KINDS[self.kind]
        if must - self.keys.keys() or self.keys.keys() - must - may - COMMON_KEYS:
            raise Problem(f"{self.kind} test takes {sorted(must)} and maybe {sorted(may | COMMON_KEYS)}")
        if (len(self.parts) == 2) != (self.kind == "http-exchange"):
            raise Problem(f"{self.kind} test with {len(self.parts)} parts")
        if self.kind.startswith(("http", "tcp")) and not all(self.parts):
            raise Problem(f"{self.kind} test without text")
        for text in self.texts() if self.kind.startswith("http") else []:
            if b"\r\n\r\n" not in text:
                raise Problem("HTTP test without the empty line that ends the headers")


def fill_content_length(text):
    head, separator, body = text.partition(b"\r\n\r\n")
    head = re.sub(rb"(?im)^(content-length: )@(\r?)$", lambda m: m[1] + str(len(body)).encode() + m[2], head)
    return head + separator + body


# ---- rules ----

class Rule:
    """A rule taken apart: header fields, then (keyword, value or None) in order."""

    def __init__(self, text):
        found = re.match(r"(\S+) (\S+) (\S+) (\S+) -> (\S+) (\S+) \((.*)\)$", text)
        if not found:
            raise Problem("not `action protocol source port -> destination port (options)`")
        self.action, self.protocol = found[1], found[2]
        self.addresses, self.ports = (found[3], found[5]), (found[4], found[6])
        self.options = list(split_options(found[7]))

    def all(self, keyword):
        return [value for name, value in self.options if name == keyword]

    def one(self, keyword):
        values = self.all(keyword)
        if len(values) != 1:
            raise Problem(f"needs exactly one {keyword}, has {len(values)}")
        return values[0]


def split_options(text):
    """Splits at semicolons; one that is meant has a backslash before it, also within quotes."""
    start = 0
    for found in re.finditer(r"\\.|;", text):
        if found[0] != ";":
            continue
        name, colon, value = text[start:found.start()].strip().partition(":")
        if not name or len(re.findall(r'(?<!\\)"', value)) not in (0, 2):
            raise Problem(f"option is empty, or its quotes or semicolons are not balanced: {name}")
        yield name.strip(), value.strip() if colon else None
        start = found.end()
    if text[start:].strip():
        raise Problem("the last option has no semicolon")


def quoted(value, what):
    if value is None or len(value) < 2 or value[0] != '"' or value[-1] != '"':
        raise Problem(f"{what} is not quoted")
    return value[1:-1]


def content_bytes(value):
    """Bytes of a content value, after `!` and the quotes went."""
    out = bytearray()
    for index, part in enumerate(re.split(r"(?<!\\)\|", value)):
        if index % 2:
            if not re.fullmatch(r"[0-9A-Fa-f]{2}(?: ?[0-9A-Fa-f]{2})*", part):
                raise Problem(f"bad hex in content: |{part}|")
            out += bytes.fromhex(part)
        else:
            if re.search(r'(?<!\\)[;"]', part):
                raise Problem(f"unescaped character in content: {part}")
            out += re.sub(r'\\([\\;":|])', r"\1", part).encode()
    if value.count("|") % 2 or not out:
        raise Problem(f"content is empty or has an open hex part: {value}")
    return bytes(out)


def check_header(rule, _):
    if rule.action not in ACTIONS:
        raise Problem(f"action {rule.action}")
    if rule.protocol not in PROTOCOLS:
        raise Problem(f"protocol {rule.protocol}")
    for address in rule.addresses:
        if address != "any" and address.lstrip("!") not in VARIABLES:
            raise Problem(f"address {address}: only any and variables, nothing of one host")
    for port in rule.ports:
        if not re.fullmatch(r"any|!?\[?[\d:,!]+\]?", port):
            raise Problem(f"port {port}")


def check_keywords(rule, _):
    for name, value in rule.options:
        if name not in KEYWORDS:
            raise Problem(f"keyword {name} is not one of the engine's")
        if name in FLAG_KEYWORDS and value is not None:
            raise Problem(f"{name} takes no value")
        if name not in FLAG_KEYWORDS | {"fast_pattern", "base64_decode"} and not value:
            raise Problem(f"{name} needs a value")


def check_identity(rule, context):
    sid = rule.one("sid")
    if not sid.isdigit() or int(sid) not in SIDS:
        raise Problem(f"sid {sid} is out of range")
    if sid in context["sids"]:
        raise Problem(f"sid {sid} is used twice")
    context["sids"].add(sid)
    block = (int(sid) - 1) // SIDS_PER_FILE if int(sid) % SIDS_PER_FILE else int(sid) // SIDS_PER_FILE
    if context["blocks"].setdefault(block, context["file"]) != context["file"]:
        raise Problem(f"sid {sid} lies in the range of {context['blocks'][block]}")
    if not re.fullmatch(r"[1-9]\d*", rule.one("rev")):
        raise Problem("rev")
    message = quoted(rule.one("msg"), "msg")
    if not re.match(r"SLUICE [A-Z0-9]+ \S", message) or len(message) > 120:
        raise Problem(f"msg is not `SLUICE CATEGORY text`: {message}")
    if message in context["messages"]:
        raise Problem(f"msg is used twice: {message}")
    context["messages"].add(message)


def check_classification(rule, context):
    if rule.one("classtype") not in context["classtypes"]:
        raise Problem(f"classtype {rule.one('classtype')} is not in classification.config")
    for reference in rule.all("reference"):
        system, comma, identifier = reference.partition(",")
        if system not in context["references"] or not identifier:
            raise Problem(f"reference {reference} is not in reference.config")
        if system == "cve" and not re.fullmatch(r"\d{4}-\d{4,}", identifier):
            raise Problem(f"reference {reference}")


def check_metadata(rule, _):
    entries = [entry.strip().partition(" ") for entry in rule.one("metadata").split(",")]
    names = [name for name, _, _ in entries]
    for required in ("created_at", "confidence", "signature_severity"):
        if required not in names:
            raise Problem(f"metadata lacks {required}")
    for name, _, value in entries:
        if not re.fullmatch(METADATA.get(name, r"(?!)"), value):
            raise Problem(f"metadata {name} {value}")


def check_fast_pattern(rule, _):
    """Some positive content of four bytes or more, and if one is marked, it is such a one."""
    if not rule.all("content") and any(rule.all(keyword) for keyword in SELF_SELECTING):
        return
    longest, marked, current = 0, 0, None
    for name, value in rule.options:
        if name == "content":
            body = value.lstrip("!")
            raw = content_bytes(quoted(body, "content"))
            current = 0 if value.startswith("!") else len(set(raw)) and len(raw)
            longest = max(longest, current)
        elif name == "fast_pattern":
            if not current:
                raise Problem("fast_pattern on a negated content or on none")
            marked += 1
            if current < FAST_PATTERN_BYTES_MIN:
                raise Problem(f"fast pattern has only {current} bytes")
    if marked > 1:
        raise Problem("more than one fast_pattern")
    if longest < FAST_PATTERN_BYTES_MIN:
        raise Problem(f"no content of at least {FAST_PATTERN_BYTES_MIN} bytes")


def check_order(rule, _):
    """Modifiers stand behind a content; a buffer is followed by something that looks into it."""
    current, buffer, seen = False, None, set()
    for name, value in rule.options:
        if name in CONTENT_MODIFIERS and not current:
            raise Problem(f"{name} does not follow a content")
        if name == "content":
            content_bytes(quoted(value.lstrip("!"), "content"))
            current, buffer = True, None
        elif name in BUFFERS:
            if buffer:
                raise Problem(f"{buffer} is followed by nothing that uses it")
            if name in seen:
                raise Problem(f"{name} is opened twice")
            seen.add(name)
            current, buffer = False, name
        elif name in PAYLOAD - {"dotprefix"}:
            current, buffer = False, None
    if buffer:
        raise Problem(f"{buffer} is followed by nothing that uses it")


def check_pcre(rule, _):
    for value in rule.all("pcre"):
        found = re.fullmatch(r"/(.*)/([ismxAEGRUIPQHDMCSYBOVW]*)", quoted(value.lstrip("!"), "pcre"), re.S)
        if not found:
            raise Problem(f"pcre is not /pattern/flags: {value}")
        pattern = re.sub(r'\\([;"])', r"\1", found[1])
        # Python has neither possessive quantifiers (before 3.11) nor \h, \R; rules do without them.
        try:
            re.compile(pattern.encode())
        except re.error as error:
            raise Problem(f"pcre does not compile: {error}: {pattern}") from None


def check_flow(rule, _):
    if rule.protocol == "http" and not any("to_server" in v or "to_client" in v for v in rule.all("flow")):
        raise Problem("an http rule says its direction in flow")


RULE_CHECKS = [check_header, check_keywords, check_identity, check_classification, check_metadata,
               check_order, check_fast_pattern, check_pcre, check_flow]


# ---- files ----

def parse_rule_file(text):
    """Yields (line number, rule text, tests, problems) for each rule; tests are those right above it."""
    tests, problems = [], []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if line.startswith("# test:"):
                tests.append(Test(line))
            elif line.startswith("# |") or line == "# ---":
                if not tests:
                    raise Problem("text line without a test")
                tests[-1].add(line)
            elif line and not line.startswith("#"):
                yield number, line, tests, problems
                tests, problems = [], []
            elif not line and tests:
                raise Problem("empty line between a test and its rule")
        except Problem as problem:
            problems.append(f"line {number}: {problem}")
    if tests:
        yield number, "", tests, problems + ["tests at the end of the file belong to no rule"]


def config_names(path, keyword):
    """First field of each `config KEYWORD: name…` line; a doubled or malformed one is a problem."""
    names = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        pattern = {"classification": r"config classification: ([a-z0-9-]+),([^,]+),([1-4])",
                   "reference": r"config reference: ([a-zA-Z0-9_-]+) (\S*)"}[keyword]
        found = re.fullmatch(pattern, line)
        if not found or found[1] in names:
            raise Problem(f"line {number}: malformed or doubled: {line}")
        names.append(found[1])
    return set(names)


def main(directory):
    passed, failed = 0, 0

    def outcome(where, problem=None):
        nonlocal passed, failed
        if problem is None:
            passed += 1
        else:
            failed += 1
            print(f"{where}: {problem}")

    context = {"sids": set(), "messages": set(), "blocks": {}, "classtypes": set(), "references": set()}
    for field, keyword in (("classtypes", "classification"), ("references", "reference")):
        path = directory / f"{keyword}.config"
        try:
            context[field] = config_names(path, keyword)
            outcome(path.name)
        except (OSError, Problem) as problem:
            outcome(path.name, problem)
    files = sorted(directory.glob("*.rules"))
    if not files:
        outcome(directory, "holds no *.rules file")
    for path in files:
        context["file"] = path.name
        for number, text, tests, problems in parse_rule_file(path.read_text(encoding="utf-8")):
            where = f"{path.name}:{number}"
            for problem in problems:
                outcome(where, problem)
            try:
                rule = Rule(text)
                for check in RULE_CHECKS:
                    check(rule, context)
                if {test.fires for test in tests} != {True, False}:
                    raise Problem("needs at least one alert test and one quiet test right above it")
                outcome(where)
            except Problem as problem:
                outcome(where, problem)
            for test in tests:
                try:
                    test.check()
                    outcome(where)
                except Problem as problem:
                    outcome(where, f"{problem}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parents[2]
    sys.exit(main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "rules"))
