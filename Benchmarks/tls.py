#!/usr/bin/env python3
"""What opening TLS costs: clients, a gateway and servers in network namespaces, by different means in the middle, in turns.

    sudo Benchmarks/tls.py [--rounds N] [--seconds N] [--idle N] [--only SUBJECT,...] [--measures MEASURE,...]
                           [--rules PATH]... [--json FILE]

Subjects: `adopted` is Sluice taking connections over at their ClientHello, `syn` at their first packet
(interception.take-over), both with the rules of --rules (those that come with Sluice); `terminate` is Sluice in front of a
site of one's own; `sslsplit` and `haproxy` (with a fixed certificate, which mints nothing and checks nothing) where
they are installed; `forwarded` opens nothing and shows what the two ends can do.

Measures: `handshakes`, connections a second, each a full handshake with the client and one answer of 1 kB, the server's
leg as the program likes it; `full`, the same with a server that resumes nothing, so that both are full; `requests`,
answers of 1 kB a second over 64 open connections; `bulk`, MB/s of one connection, `bulk4` of four; `visits`,
milliseconds of a first connection to 100 hosts with a certificate each, until the handshake is done, and of a later one;
`idle`, kB that the program holds for each of so many connections that stand still, and `loaded`, handshakes a second while they stand.

The program in the middle has the first core to itself as far as the machine lets it, both ends share the second. Rates on
a machine that does other things as well swing by half; the CPU time of the program for each answer, connection or MB,
which stands beside them, swings less. Needs root, iproute2, iptables, nginx, openssl, a C compiler and the headers
of OpenSSL; makes its own namespaces and leaves nothing.
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PREFIX = "tlsbench%d-" % os.getpid()
CLIENT, GATEWAY, SERVER = (PREFIX + name for name in ("client", "gateway", "server"))
ADDRESS, FULL, HOSTS, SITE = "203.0.113.2", "203.0.113.3", "203.0.113.4", "192.168.50.1"
HOST_COUNT = 100
SUBJECTS = ["forwarded", "adopted", "syn", "terminate", "sslsplit", "haproxy"]
MEASURES = ["idle", "handshakes", "full", "requests", "bulk", "bulk4", "visits", "loaded"]
UNITS = {
    "handshakes": "/s", "full": "/s", "requests": "/s", "bulk": "MB/s", "bulk4": "MB/s", "visits": "ms",
    "idle": "kB", "loaded": "/s",
}


def call(*words, check=True, **options):
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if check and done.returncode:
        sys.exit("%s: %s" % (" ".join(words), done.stdout[-2000:]))
    return done.stdout


def inside(space, *words):
    return ["ip", "netns", "exec", space, *words]


def until(seconds, holds, what, log=None):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            sys.exit("%s: not there after %d s%s" % (what, seconds, "\n" + open(log).read()[-2000:] if log else ""))
        time.sleep(0.05)


class Certificates:
    """An authority for the servers with a leaf for each, and one for those in the middle."""

    def __init__(self, work):
        self.work = work
        for name, usage in (("origin", "keyCertSign"), ("middle", "keyCertSign,cRLSign")):
            self.key(name)
            call("openssl", "req", "-x509", "-new", "-key", self.path(name + ".key"), "-days", "30", "-subj",
                 "/O=Benchmark/CN=Benchmark %s" % name, "-addext", "keyUsage=critical," + usage, "-out", self.path(name + ".pem"))
        self.key("leaf")
        self.issue("leaf", "www.bench.test", "leaf")
        for number in range(1, HOST_COUNT + 1):
            self.issue("h%d" % number, "h%d.bench.test" % number, "leaf")
        with open(self.path("fixed.pem"), "w") as file:
            file.write(open(self.path("leaf.pem")).read() + open(self.path("leaf.key")).read())

    def path(self, name):
        return "%s/%s" % (self.work, name)

    def key(self, name):
        call("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path(name + ".key"))

    def issue(self, name, host, key):
        extensions = self.path("extensions")
        open(extensions, "w").write(
            "subjectAltName=DNS:%s\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n" % host)
        request = call("openssl", "req", "-new", "-key", self.path(key + ".key"), "-subj", "/CN=" + host)
        call("openssl", "x509", "-req", "-CA", self.path("origin.pem"), "-CAkey", self.path("origin.key"),
             "-CAcreateserial", "-days", "20", "-extfile", extensions, "-out", self.path(name + ".pem"), input=request)


class Network:
    """A client, a gateway and a server, with what serves on it."""

    def __init__(self, work):
        self.work, self.nginx = work, None
        for space in (CLIENT, GATEWAY, SERVER):
            call("ip", "netns", "add", space)
            call("ip", "-n", space, "link", "set", "lo", "up")
        for space, port, own, gateway in (
            (CLIENT, "client0", "192.168.50.2", SITE), (SERVER, "server0", ADDRESS, "203.0.113.1"),
        ):
            call("ip", "link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", port, "netns", GATEWAY)
            call("ip", "-n", space, "address", "add", own + "/24", "dev", "eth0")
            call("ip", "-n", GATEWAY, "address", "add", gateway + "/24", "dev", port)
            call("ip", "-n", space, "link", "set", "eth0", "up")
            call("ip", "-n", GATEWAY, "link", "set", port, "up")
            call("ip", "-n", space, "route", "add", "default", "via", gateway)
        for address in (FULL, HOSTS):
            call("ip", "-n", SERVER, "address", "add", address + "/24", "dev", "eth0")
        for space in (CLIENT, GATEWAY, SERVER):
            # Thousands of connections within seconds between two addresses.
            call(*inside(space, "sysctl", "-qw", "net.ipv4.ip_local_port_range=1025 65000", "net.ipv4.tcp_tw_reuse=1",
                         "net.core.somaxconn=8192", "net.ipv4.tcp_max_syn_backlog=8192", "net.ipv4.conf.all.rp_filter=0"))
        call(*inside(GATEWAY, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
        self.serve()

    def serve(self):
        root = self.work + "/www"
        os.makedirs(root)
        words = " ".join("word%d" % (index * 7919 % 1000) for index in range(200))
        open(root + "/1k.html", "w").write("<html><body>%s</body></html>\n" % words[:960])
        with open(root + "/100m.bin", "wb") as file:
            for _ in range(100):
                file.write(os.urandom(1 << 20))
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            os.makedirs(self.work + "/nginx/" + name)
        paths = "".join(
            "%s_temp_path %s/nginx/%s; " % (key, self.work, name)
            for key, name in (("client_body", "body"), ("proxy", "proxy"), ("fastcgi", "fastcgi"), ("uwsgi", "uwsgi"), ("scgi", "scgi")))
        key = "ssl_certificate_key %s/leaf.key;" % self.work
        one = "ssl_certificate %s/leaf.pem; %s" % (self.work, key)
        hosts = "".join(
            "  server { listen %s:443 ssl; server_name h%d.bench.test; ssl_certificate %s/h%d.pem; %s }\n"
            % (HOSTS, number, self.work, number, key) for number in range(1, HOST_COUNT + 1))
        open(self.work + "/nginx.conf", "w").write("""daemon off; master_process off; worker_processes 1; user root;
pid %(work)s/nginx.pid; error_log %(work)s/nginx.log; worker_rlimit_nofile 60000;
events { worker_connections 30000; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 1200s; %(paths)s
  types { text/html html; } default_type application/octet-stream; root %(work)s/www; open_file_cache max=100;
  server { listen %(site)s:80 backlog=4096; }
  server { listen %(address)s:443 ssl backlog=4096; ssl_session_cache shared:s:20m; %(one)s }
  server { listen %(full)s:443 ssl backlog=4096; ssl_session_cache off; ssl_session_tickets off; %(one)s }
%(hosts)s}
""" % {"work": self.work, "paths": paths, "one": one, "address": ADDRESS, "full": FULL, "site": ADDRESS, "hosts": hosts})
        self.nginx = subprocess.Popen(
            inside(SERVER, "taskset", "-c", "1", "nginx", "-c", self.work + "/nginx.conf", "-p", self.work),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(10, lambda: call(*inside(SERVER, "ss", "-Hltn", "sport = :443")), "nginx", self.work + "/nginx.log")

    def down(self):
        if self.nginx:
            self.nginx.kill()
            self.nginx.wait()
        for space in (CLIENT, GATEWAY, SERVER):
            call("ip", "netns", "delete", space, check=False)


class Subject:
    """What stands in the middle: a program, or nothing."""

    def __init__(self, name, options, work):
        self.name, self.options, self.work, self.process = name, options, work, None
        self.log = "%s/%s.log" % (work, name)
        self.settings = "%s/%s.yaml" % (work, name)
        self.is_sluice = name in ("adopted", "syn", "terminate")

    def up(self):
        if self.name == "forwarded":
            return
        if self.is_sluice:
            self.write_settings()
            if self.name != "terminate":
                self.setup("up")
            self.begin([self.options.sluice, "run", "--config", self.settings])
            until(120, lambda: "running:" in self.said() or self.process.poll() is not None, "Sluice", self.log)
        else:
            self.divert("-A")
            self.begin(self.sslsplit() if self.name == "sslsplit" else self.haproxy())
            until(20, lambda: call(*inside(GATEWAY, "ss", "-Hltn", "sport = :8443")) or self.process.poll() is not None,
                  self.name, self.log)
        if self.process.poll() is not None:
            sys.exit("%s ended early: %s" % (self.name, self.said()[-2000:]))
        time.sleep(0.3)

    def said(self):
        return open(self.log, errors="replace").read()

    def begin(self, words):
        self.process = subprocess.Popen(
            inside(GATEWAY, "sh", "-c", 'ulimit -n "$(ulimit -H -n)"; exec taskset -c 0 "$@"', "sh", *words),
            stdout=open(self.log, "w"), stderr=subprocess.STDOUT)

    def down(self):
        if self.process:
            self.process.send_signal(signal.SIGINT if self.is_sluice else signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                for number in self.family():
                    os.kill(number, signal.SIGKILL)
                self.process.wait()
        if self.name in ("adopted", "syn"):
            self.setup("down")
        elif self.name in ("sslsplit", "haproxy"):
            self.divert("-D")

    def setup(self, verb):
        call(*inside(GATEWAY, self.options.sluice, "setup", verb, "--config", self.settings))

    def divert(self, verb):
        """Transparent sockets, as the kernel's documentation has them."""
        if verb == "-A":
            call(*inside(GATEWAY, "ip", "rule", "add", "fwmark", "1", "lookup", "191"))
            call(*inside(GATEWAY, "ip", "route", "add", "local", "default", "dev", "lo", "table", "191"))
        else:
            call(*inside(GATEWAY, "ip", "rule", "del", "fwmark", "1", "lookup", "191"))
            call(*inside(GATEWAY, "ip", "route", "flush", "table", "191"))
        call(*inside(GATEWAY, "iptables", "-t", "mangle", verb, "PREROUTING", "-p", "tcp", "-m", "socket", "--transparent",
                     "-j", "MARK", "--set-mark", "1"))
        call(*inside(GATEWAY, "iptables", "-t", "mangle", verb, "PREROUTING", "-i", "client0", "-p", "tcp", "--dport", "443",
                     "-j", "TPROXY", "--on-port", "8443", "--tproxy-mark", "1"))

    def sslsplit(self):
        key = self.work + "/middle.key"
        return ["sslsplit", "-u", "root", "-c", self.work + "/middle.pem", "-k", key, "-K", self.work + "/leaf.key",
                "ssl", "0.0.0.0", "8443", "tproxy"]

    def haproxy(self):
        open(self.settings, "w").write("""global
  maxconn 9900
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1200s
  timeout server 1200s
listen all
  bind *:8443 transparent ssl crt %s/fixed.pem
  server there * ssl verify none sni ssl_fc_sni
""" % self.work)
        return ["haproxy", "-db", "-f", self.settings]

    def write_settings(self):
        os.makedirs(self.work + "/cache", exist_ok=True)
        log = "%s/%s" % (self.work, self.name)
        os.makedirs(log, exist_ok=True)
        mode, more = "router", "  take-over: %s\n" % ("syn" if self.name == "syn" else "hello")
        if self.name == "terminate":
            mode, more = "terminate", """  terminate:
    - {listen: "%s:443", certificate: %s/leaf.pem, key: %s/leaf.key, backends: ["%s:80"]}
""" % (SITE, self.work, self.work, ADDRESS)
        open(self.settings, "w").write("""vars:
  address-groups: {HOME_NET: "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]", EXTERNAL_NET: "!$HOME_NET"}
rule-files: %(rules)s
detect: {sgh-mpm-caching-path: %(work)s/cache}
default-log-dir: %(log)s
stats: {enabled: no}
outputs: [{eve-log: {enabled: yes, types: [alert]}}]
capture: {mode: %(mode)s, queues: 1, pin-workers: no}
control: {socket: %(log)s/control.sock}
interception:
  enabled: yes
  ca-certificate: %(work)s/middle.pem
  ca-key: %(work)s/middle.key
  extra-trust: [%(work)s/origin.pem]
  learning: {mode: off}
%(more)s""" % {"rules": json.dumps(self.options.rules), "work": self.work, "log": log, "mode": mode, "more": more})

    # What it costs: the program and what it started.

    def family(self):
        if not self.process:
            return []
        found, waiting = [], [self.process.pid]
        while waiting:
            number = waiting.pop()
            found.append(number)
            try:
                for task in os.listdir("/proc/%d/task" % number):
                    waiting += map(int, open("/proc/%d/task/%s/children" % (number, task)).read().split())
            except OSError:
                pass
        return found

    def cpu(self):
        """By the scheduler's own clock: what is counted by ticks is off by half on a busy machine."""
        total = 0
        for number in self.family():
            try:
                for task in os.listdir("/proc/%d/task" % number):
                    total += int(open("/proc/%d/task/%s/schedstat" % (number, task)).read().split()[0])
            except OSError:
                pass
        return total / 1e9

    def resident(self):
        """kB that are its own."""
        total = 0
        for number in self.family():
            try:
                total += int(re.search(r"Pss:\s+(\d+)", open("/proc/%d/smaps_rollup" % number).read()).group(1))
            except (OSError, AttributeError):
                pass
        return total


class Measures:
    def __init__(self, options, work):
        self.seconds, self.idle_count, self.load = str(options.seconds), options.idle, work + "/tlsload"
        call("cc", "-O2", "-D_GNU_SOURCE", "-o", self.load, HERE + "/tlsload.c", "-lssl", "-lcrypto")

    def take(self, name, subject):
        self.address = SITE if subject.name == "terminate" else ADDRESS
        if subject.name == "terminate" and name in ("full", "visits"):
            return {}
        before = subject.cpu()
        one = getattr(self, name)(subject)
        # Microseconds a connection, an answer, a megabyte.
        if one.get("units"):
            one["cost"] = (subject.cpu() - before) * 1e6 / one["units"]
        return one

    def words(self, mode, address, path, connections, name="www.bench.test", seconds=None):
        return inside(CLIENT, "taskset", "-c", "1", self.load, mode, address, name, path, str(connections), seconds or self.seconds)

    def run(self, *words, **more):
        said = call(*self.words(*words, **more), check=False)
        try:
            return [json.loads(line) for line in said.splitlines()]
        except ValueError:
            return []

    def rate(self, mode, address, path, connections):
        said = self.run(mode, address, path, connections)
        if not said or not said[0]["answers"]:
            return {"value": 0, "wrong": "no answer"}
        got = said[0]
        one = {"value": got["answers"] / got["seconds"], "units": got["answers"], "p50": got["p50"], "p99": got["p99"]}
        if mode == "handshakes":
            one["p50"], one["p99"] = got["handshake_p50"], got["handshake_p99"]
        if got["errors"]:
            one["wrong"] = "%d errors" % got["errors"]
        return one

    def handshakes(self, _):
        return self.rate("handshakes", self.address, "/1k.html", 64)

    def full(self, _):
        return self.rate("handshakes", FULL, "/1k.html", 64)

    def requests(self, _):
        return self.rate("requests", self.address, "/1k.html", 64)

    def bulk(self, _, connections=1):
        said = self.run("requests", self.address, "/100m.bin", connections)
        if not said or not said[0]["octets"]:
            return {"value": 0, "wrong": "nothing arrived"}
        return {"value": said[0]["octets"] / 1e6 / said[0]["seconds"], "units": said[0]["octets"] / 1e6}

    def bulk4(self, subject):
        return self.bulk(subject, 4)

    def visits(self, _):
        said = self.run("visits", HOSTS, "/", HOST_COUNT, name="h%d.bench.test", seconds="3")
        if len(said) != 3:
            return {"value": 0, "wrong": "no answer"}
        one = {"value": said[0]["p50"], "p99": said[0]["p99"], "later": said[2]["p50"]}
        if errors := sum(round["errors"] for round in said):
            one["wrong"] = "%d errors" % errors
        return one

    def hold(self, subject, meanwhile):
        """Opens idle connections, does something, and lets them go."""
        holder = subprocess.Popen(
            self.words("idle", self.address, "/1k.html", self.idle_count), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        opened = json.loads(holder.stdout.readline())
        time.sleep(1)
        one = meanwhile(opened)
        said, _ = holder.communicate("")
        left = json.loads(said.splitlines()[-1])
        if opened["open"] != self.idle_count or left["held"] != self.idle_count:
            one["wrong"] = "%d opened, %d held" % (opened["open"], left["held"])
        time.sleep(2)
        return one

    def idle(self, subject):
        # Warm: what is kept once for all connections. Few at a time, or their memory would serve those that are counted.
        self.run("handshakes", self.address, "/1k.html", 2, seconds="0.5")
        time.sleep(2)
        before = subject.resident()
        return self.hold(subject, lambda opened: {
            "value": (subject.resident() - before) / max(1, opened["open"]), "count": opened["open"]})

    def loaded(self, subject):
        return self.hold(subject, lambda _: self.rate("handshakes", self.address, "/1k.html", 64))


def run(options, work):
    measures = Measures(options, work)
    results = {}
    for turn in range(options.rounds):
        for name in options.only:
            subject = Subject(name, options, work)
            try:
                subject.up()
                for measure in options.measures:
                    one = measures.take(measure, subject)
                    if one:
                        results.setdefault(name, {}).setdefault(measure, []).append(one)
                        tell(turn, name, measure, one)
            finally:
                subject.down()
    return results


def figure(measure, value):
    return "%.2f" % value if measure == "visits" else "%.1f" % value if measure == "idle" else "%.0f" % value


def tell(turn, name, measure, one):
    more = "".join(
        ", %s %.2f ms" % (key, one[key]) for key in ("p50", "p99", "later") if key in one)
    cost = ", %.0f us each" % one["cost"] if "cost" in one else ""
    wrong = "  ! " + one["wrong"] if "wrong" in one else ""
    print("# %d %-10s %-10s %s %s%s%s%s" % (turn + 1, name, measure, figure(measure, one["value"]), UNITS[measure], more, cost, wrong),
          file=sys.stderr, flush=True)


def table(options, results):
    """The best of the rounds: other work on the machine only takes away."""
    print("| " + " | ".join(["in the middle"] + ["%s (%s)" % (m, UNITS[m]) for m in options.measures]) + " |")
    print("| --- |" + " --- |" * len(options.measures))
    for name in options.only:
        cells = []
        for measure in options.measures:
            found = results.get(name, {}).get(measure, [])
            if not found:
                cells.append("")
                continue
            best = (min if measure in ("visits", "idle") else max)(one["value"] for one in found)
            cell = figure(measure, best)
            if measure == "visits":
                cell += ", later %.2f" % min(one.get("later", 0) for one in found)
            costs = [one["cost"] for one in found if one.get("cost")]
            if costs:
                cell += "; %.0f us" % min(costs)
            cells.append(cell)
        print("| " + " | ".join([name] + cells) + " |")


def choice(known):
    def read(text):
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError("%s is none of %s" % (name, ", ".join(known)))
        return names
    return read


def be_nice(value):
    """Where sessions are scheduled as groups (autogroup), the niceness of a process counts in its own group only."""
    try:
        os.setsid()
    except OSError:
        pass  # Its first process already.
    os.nice(value)
    try:
        open("/proc/self/autogroup", "w").write(str(value))
    except OSError:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sluice", default=os.path.join(HERE, "../.build/release/sluice"))
    parser.add_argument("--rules", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--only", type=choice(SUBJECTS), default=SUBJECTS)
    parser.add_argument("--measures", type=choice(MEASURES), default=MEASURES)
    parser.add_argument("--nice", type=int, default=0, help="-20 goes before other work on the machine")
    parser.add_argument("--json", help="where each single result is written")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("needs root")
    if options.nice:
        be_nice(options.nice)
    options.sluice = os.path.abspath(options.sluice)
    options.rules = [os.path.abspath(path) for path in options.rules] or [os.path.abspath(HERE + "/../rules")]
    options.only = [name for name in options.only if name not in ("sslsplit", "haproxy") or shutil.which(name)]
    work = tempfile.mkdtemp(prefix="sluice-tls.")
    os.chmod(work, 0o755)
    network = None
    try:
        Certificates(work)
        network = Network(work)
        results = run(options, work)
        table(options, results)
        if options.json:
            json.dump(results, open(options.json, "w"), indent=1)
    finally:
        if network:
            network.down()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
