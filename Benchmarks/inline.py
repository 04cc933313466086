#!/usr/bin/env python3
"""What standing in line costs: traffic through three network namespaces, by different means in the middle, in turns.

    sudo Benchmarks/inline.py [--loop NFQBENCH] [--suricata-root DIR] [--rules FILE]... [--rounds N]
                              [--only SUBJECT,...] [--measures MEASURE,...] [--queues N] [--json FILE]

Subjects: `plain` forwards, with connection tracking as any stateful firewall has it; `loop` is a program that gives
verdicts and nothing else, for what NFQUEUE itself costs (called with nfqbench's options; left out without --loop);
`uninspected` is Sluice with capture.inspect=none; `no-rules` Sluice without rules; `rules` Sluice with those of
--rules; `suricata` Suricata with the same ones (left out without --suricata-root); `released` Sluice with a rule that
passes everything to the kernel.

Measures: `bulk`, Gbit/s of one TCP connection; `packets`, UDP packets of 18 octets a second that arrive, from 8 flows;
`requests`, answers of 1 kB a second over 32 open connections; `answers`, the same with 64 kB; `connections`, a
connection for each 1 kB answer. Beside each stands what it cost in CPU time of the program in the middle, in milliseconds
for a gigabyte and microseconds for a packet or an answer, which other work on the machine changes least; with the last
three, the 99th percentile of the latency; at the end the resident memory.

All of this shares the machine with the two ends. Medians of the rounds are told; compare ratios, not figures. Queues
fail closed, because packets that pass a full queue unseen would look fast; only Suricata's fail open, which is its
fastest. Needs root, iproute2, iptables, iperf3, nginx, wrk and a C compiler; makes its own namespaces and leaves nothing.
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
PREFIX = "bench%d-" % os.getpid()
CLIENT, GATEWAY, SERVER = (PREFIX + name for name in ("client", "gateway", "server"))
ADDRESS = "203.0.113.2"
TICKS = os.sysconf("SC_CLK_TCK")
SUBJECTS = ["plain", "loop", "uninspected", "no-rules", "rules", "suricata", "released"]
MEASURES = ["bulk", "packets", "requests", "answers", "connections"]
UNITS = {"bulk": "Gbit/s", "packets": "packets/s", "requests": "1 kB/s", "answers": "64 kB/s", "connections": "connections/s"}
# What is held against what.
RATIOS = [
    ("loop", "plain"), ("uninspected", "loop"), ("no-rules", "loop"), ("rules", "no-rules"), ("rules", "plain"),
    ("rules", "suricata"), ("released", "plain"),
]


def call(*words, check=True, **options):
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if check and done.returncode:
        sys.exit("%s: %s" % (" ".join(words), done.stdout[-2000:]))
    return done.stdout


def inside(space, *words):
    return ["ip", "netns", "exec", space, *words]


class Network:
    """A client, a gateway and a server, with what serves on it."""

    def __init__(self, work):
        self.work, self.processes = work, []
        for space in (CLIENT, GATEWAY, SERVER):
            call("ip", "netns", "add", space)
            call("ip", "-n", space, "link", "set", "lo", "up")
        for space, port, own, gateway in (
            (CLIENT, "client0", "192.168.50.2", "192.168.50.1"), (SERVER, "server0", ADDRESS, "203.0.113.1"),
        ):
            call("ip", "link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", port, "netns", GATEWAY)
            call("ip", "-n", space, "address", "add", own + "/24", "dev", "eth0")
            call("ip", "-n", GATEWAY, "address", "add", gateway + "/24", "dev", port)
            call("ip", "-n", space, "link", "set", "eth0", "up")
            call("ip", "-n", GATEWAY, "link", "set", port, "up")
            call("ip", "-n", space, "route", "add", "default", "via", gateway)
        call(*inside(GATEWAY, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
        self.serve()

    def serve(self):
        root = self.work + "/www"
        os.makedirs(root)
        page = "<html><head><title>Page</title></head><body>%s</body></html>\n"
        words = " ".join("word%d" % (index * 7919 % 1000) for index in range(200))
        open(root + "/1k.html", "w").write(page % words[:960])
        open(root + "/64k.bin", "wb").write(os.urandom(65536))
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            os.makedirs(self.work + "/nginx/" + name)
        paths = "".join(
            "%s_temp_path %s/nginx/%s; " % (key, self.work, name)
            for key, name in (("client_body", "body"), ("proxy", "proxy"), ("fastcgi", "fastcgi"), ("uwsgi", "uwsgi"), ("scgi", "scgi")))
        open(self.work + "/nginx.conf", "w").write("""daemon off; master_process off; worker_processes 1; user root;
pid %(work)s/nginx.pid; error_log %(work)s/nginx.log;
events { worker_connections 8192; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; %(paths)s
  types { text/html html; } default_type application/octet-stream;
  server { listen 80 backlog=4096; root %(work)s/www; } }
""" % {"work": self.work, "paths": paths})
        self.start(SERVER, "nginx", "-c", self.work + "/nginx.conf", "-p", self.work)
        self.start(SERVER, "iperf3", "-s", "-p", "5201")
        until(10, lambda: all(
            call(*inside(SERVER, "ss", "-Hltn", "sport = :%d" % port)) for port in (80, 5201)), "the servers")

    def start(self, space, *words):
        process = subprocess.Popen(inside(space, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def down(self):
        for process in self.processes:
            process.kill()
            process.wait()
        for space in (CLIENT, GATEWAY, SERVER):
            call("ip", "netns", "delete", space, check=False)


def until(seconds, holds, what, log=None):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            sys.exit("%s: not there after %d s%s" % (what, seconds, "\n" + open(log).read()[-2000:] if log else ""))
        time.sleep(0.05)


class Subject:
    """What stands in the middle: a program, or nothing."""

    def __init__(self, name, options, work):
        self.name, self.options, self.work, self.process = name, options, work, None
        self.log = "%s/%s.log" % (work, name)
        self.settings = "%s/%s.yaml" % (work, name)

    def up(self):
        if self.name == "plain":
            # Connection tracking, which every other subject has too.
            call(*inside(GATEWAY, "iptables", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"))
            return
        self.write_settings()
        self.setup("up")
        if self.name == "loop":
            # Threads take the queues from 0 on.
            self.begin([self.options.loop, "-q", "0", "-t", str(self.options.queues), "-g", "-B", "67108864", "-e",
                        "-l", "16384", "-m", "32", "-v", "32", "-d", "100000"])
            until(10, lambda: len(self.queues()) == self.options.queues, "the loop", self.log)
        elif self.name == "suricata":
            self.begin(self.suricata())
            until(600, lambda: self.says("ngine started") or self.process.poll() is not None, "Suricata", self.log)
        else:
            more = [word for setting in self.options.set for word in ("--set", setting)]
            self.begin([self.options.sluice, "run", "--config", self.settings, *more])
            until(120, lambda: self.says("running:") or self.process.poll() is not None, "Sluice", self.log)
        if self.process.poll() is not None:
            sys.exit("%s ended early: %s" % (self.name, open(self.log).read()[-2000:]))
        time.sleep(0.3)

    def begin(self, words):
        self.process = subprocess.Popen(inside(GATEWAY, *words), stdout=open(self.log, "w"), stderr=subprocess.STDOUT)

    def says(self, text):
        return text in open(self.log, errors="replace").read()

    def queues(self):
        lines = call(*inside(GATEWAY, "cat", "/proc/net/netfilter/nfnetlink_queue")).splitlines()
        return [line.split() for line in lines]

    def down(self):
        if self.process:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.name == "plain":
            call(*inside(GATEWAY, "iptables", "-F", "FORWARD"))
        else:
            self.setup("down")

    def setup(self, verb):
        call(*inside(GATEWAY, self.options.sluice, "setup", verb, "--config", self.settings))

    def write_settings(self):
        rules = {"rules": self.options.rules, "released": [self.work + "/pass.rules"]}.get(self.name, [])
        open(self.work + "/pass.rules", "w").write('pass ip any any -> any any (msg:"all"; sid:1; rev:1;)\n')
        os.makedirs(self.work + "/cache", exist_ok=True)
        log = "%s/%s" % (self.work, self.name)
        os.makedirs(log, exist_ok=True)
        open(self.settings, "w").write("""vars:
  address-groups: {HOME_NET: "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]", EXTERNAL_NET: "!$HOME_NET"}
rule-files: %(rules)s
detect: {sgh-mpm-caching-path: %(work)s/cache}
default-log-dir: %(log)s
stats: {enabled: no}
outputs: [{eve-log: {enabled: yes, types: [alert]}}]
capture: {mode: router, queues: %(queues)d, fail-open: no%(inspect)s}
interception: {enabled: no}
control: {socket: %(log)s/control.sock}
""" % {"rules": json.dumps(rules), "work": self.work, "log": log, "queues": self.options.queues,
       "inspect": ", inspect: none" if self.name == "uninspected" else ""})

    def suricata(self):
        """Its settings as they are shipped but for what is logged; workers, verdicts by the batch."""
        root = self.options.suricata_root
        place = self.options.suricata_work
        inner = "/" + os.path.relpath(place, root)
        with open(place + "/all.rules", "wb") as file:
            for rules in self.options.rules:
                file.write(open(rules, "rb").read())
        open(place + "/overrides.yaml", "w").write("""%%YAML 1.1
---
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [alert]}
stats: {enabled: no}
vars:
  address-groups: {HOME_NET: "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]", EXTERNAL_NET: "!$HOME_NET"}
unix-command: {enabled: no}
logging: {default-log-level: notice, outputs: [{console: {enabled: yes}}]}
""".replace("%%", "%"))
        queues = [word for number in range(self.options.queues) for word in ("-q", str(number))]
        return ["chroot", root, "suricata", "-c", "/etc/suricata/suricata.yaml", "--include", inner + "/overrides.yaml",
                "-S", inner + "/all.rules", "-l", inner, "--runmode", "workers", "--set", "nfq.batchcount=20",
                "--set", "nfq.fail-open=yes", *queues]

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
        total = 0
        for number in self.family():
            try:
                fields = open("/proc/%d/stat" % number).read().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
            except OSError:
                pass
        return total / TICKS

    def resident(self):
        total = 0
        for number in self.family():
            try:
                total += int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % number).read()).group(1))
            except (OSError, AttributeError):
                pass
        return total // 1024


class Measures:
    def __init__(self, options, work):
        self.seconds, self.flood = options.seconds, work + "/flood"
        call("cc", "-O2", "-o", self.flood, HERE + "/flood.c")

    def take(self, name):
        return getattr(self, name)()

    def bulk(self):
        said = call(*inside(CLIENT, "timeout", str(self.seconds + 20), "iperf3", "-c", ADDRESS, "-t", str(self.seconds),
                            "-O", "0.5", "-C", "cubic", "-J"), check=False)
        try:
            got = json.loads(said)["end"]["sum_received"]
            return {"value": got["bits_per_second"] / 1e9, "units": got["bytes"] / 1e6}
        except (ValueError, KeyError):
            return {"value": 0, "wrong": said[-300:]}

    def packets(self):
        receiver = subprocess.Popen(
            inside(SERVER, self.flood, "receive", "9000", str(self.seconds)), stdout=subprocess.PIPE, text=True)
        until(10, lambda: call(*inside(SERVER, "ss", "-Hlun", "sport = :9000")), "the receiver")
        sent, _ = call(*inside(CLIENT, self.flood, "send", ADDRESS, "9000", "18", str(self.seconds), "8")).split()
        got, seconds = receiver.communicate()[0].split()
        if float(seconds) <= 0:
            return {"value": 0, "wrong": "nothing arrived"}
        return {"value": int(got) / float(seconds), "units": int(got), "lost": max(0, 1 - int(got) / max(1, int(sent)))}

    def wrk(self, path, *more):
        said = call(*inside(CLIENT, "wrk", "-t1", "-c32", "-d%ds" % self.seconds, "--latency", "--timeout", "5s", *more,
                            "http://%s%s" % (ADDRESS, path)), check=False)
        count = re.search(r"(\d+) requests in", said)
        rate, late = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
        if not rate or not late or not count:
            return {"value": 0, "wrong": said[-300:]}
        result = {"value": float(rate[1]), "units": int(count[1]), "p99": float(late[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[late[2]]}
        if wrong := re.search(r"(Socket errors.*|Non-2xx.*)", said):
            result["wrong"] = wrong[1]
        return result

    def requests(self):
        return self.wrk("/1k.html")

    def answers(self):
        return self.wrk("/64k.bin")

    def connections(self):
        return self.wrk("/1k.html", "-H", "Connection: close")


def run(options, work):
    measures = Measures(options, work)
    results = {}
    for turn in range(options.rounds):
        for name in options.only:
            subject = Subject(name, options, work)
            try:
                subject.up()
                for measure in options.measures:
                    before = subject.cpu()
                    one = measures.take(measure)
                    # Microseconds a unit; a unit of bulk is a megabyte.
                    if one.get("units"):
                        one["cost"] = (subject.cpu() - before) * 1e6 / one["units"]
                    one["resident"] = subject.resident()
                    results.setdefault(name, {}).setdefault(measure, []).append(one)
                    tell(turn, name, measure, one)
            finally:
                subject.down()
    return results


def tell(turn, name, measure, one):
    p99 = ", p99 %.1f ms" % one["p99"] if "p99" in one else ""
    lost = ", %.0f %% lost" % (one["lost"] * 100) if one.get("lost") else ""
    wrong = "  ! " + one["wrong"].replace("\n", " ") if "wrong" in one else ""
    print("# %d %-11s %-11s %s%s%s, %s, %d MB%s" % (
        turn + 1, name, measure, figure(measure, one["value"]), p99, lost, cost(measure, one.get("cost", 0)),
        one["resident"], wrong),
        file=sys.stderr, flush=True)


def figure(measure, value):
    return "%.2f" % value if measure == "bulk" else "%.0f" % value


def cost(measure, value):
    return "%.0f ms" % value if measure == "bulk" else "%.1f us" % value


def table(options, results):
    def middle(name, measure, key):
        found = [one[key] for one in results.get(name, {}).get(measure, []) if key in one]
        return statistics.median(found) if found else None

    print("| " + " | ".join(["in the middle"] + ["%s (%s)" % (m, UNITS[m]) for m in options.measures] + ["MB"]) + " |")
    print("| --- |" + " --- |" * (len(options.measures) + 1))
    for name in options.only:
        cells = []
        for measure in options.measures:
            p99 = middle(name, measure, "p99")
            cells.append("%s%s; %s" % (
                figure(measure, middle(name, measure, "value") or 0), ", p99 %.1f ms" % p99 if p99 else "",
                cost(measure, middle(name, measure, "cost") or 0)))
        memory = max((middle(name, measure, "resident") or 0) for measure in options.measures)
        print("| " + " | ".join([name] + cells + ["%d" % memory]) + " |")
    print()
    for (one, other), key in ((pair, key) for key in ("value", "cost") for pair in RATIOS):
        pairs = [(m, middle(one, m, key), middle(other, m, key)) for m in options.measures]
        told = ["%s %.2f" % (m, a / b) for m, a, b in pairs if a and b]
        if told:
            print("%s / %s%s: %s" % (one, other, ", CPU time" if key == "cost" else "", ", ".join(told)))


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
    parser.add_argument("--loop", help="a program that gives verdicts and nothing else (nfqbench)")
    parser.add_argument("--suricata-root", default=os.environ.get("SURICATA_ROOT"))
    parser.add_argument("--rules", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--queues", type=int, default=1)
    parser.add_argument("--only", type=choice(SUBJECTS), default=SUBJECTS)
    parser.add_argument("--measures", type=choice(MEASURES), default=MEASURES)
    parser.add_argument("--nice", type=int, default=0, help="-20 goes before other work on the machine")
    parser.add_argument("--set", action="append", default=[], help="a setting for Sluice, KEY=VALUE")
    parser.add_argument("--json", help="where each single result is written")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("needs root")
    if options.nice:
        be_nice(options.nice)
    options.sluice = os.path.abspath(options.sluice)
    options.rules = [os.path.abspath(path) for path in options.rules]
    missing = {"loop": not options.loop, "suricata": not options.suricata_root or not options.rules, "rules": not options.rules}
    options.only = [name for name in options.only if not missing.get(name)]
    work = tempfile.mkdtemp(prefix="sluice-inline.")
    if "suricata" in options.only:
        options.suricata_work = tempfile.mkdtemp(prefix="inline.", dir=options.suricata_root + "/tmp")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    network = None
    try:
        network = Network(work)
        results = run(options, work)
        if options.json:
            json.dump(results, open(options.json, "w"), indent=1)
        table(options, results)
    finally:
        if network:
            network.down()
        shutil.rmtree(work, ignore_errors=True)
        if getattr(options, "suricata_work", None):
            shutil.rmtree(options.suricata_work, ignore_errors=True)


if __name__ == "__main__":
    main()
