"""The two sides: the built program on anyrt, the interpreter on Trio; and what is equal."""

import importlib.machinery
import importlib.util
import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

import on_trio

ROOT = Path(__file__).resolve().parent.parent.parent
BROKEN = ROOT / "target" / "oracle"
# A program takes some milliseconds.
PATIENCE = 20


def build(root=ROOT, target=None):
    """The program on the side of anyrt."""
    more = {"CARGO_TARGET_DIR": str(target)} if target else {}
    command = ["cargo", "build", "-p", "tests", "--example", "oracle", "--message-format", "json-render-diagnostics"]
    try:
        built = subprocess.run(command, cwd=root, env={**os.environ, **more}, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        sys.exit("cargo is needed")
    if built.returncode:
        sys.exit("the side of anyrt does not build")
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return next(path for message in messages if message.get("target", {}).get("name") == "oracle"
                for path in [message.get("executable")] if path)


def build_broken(name):
    """The same, with a break of the mutation list in a copy of the core."""
    path = str(ROOT / "tests" / "mutations" / "run")
    loader = importlib.machinery.SourceFileLoader("mutations", path)
    mutations = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutations", loader))
    loader.exec_module(mutations)
    found = [b for b in mutations.read_list() if b.name == name]
    if not found:
        sys.exit(f"no break of tests/mutations/list.txt is called {name!r}")
    tree = BROKEN / "tree"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    for file in listed.stdout.splitlines():
        source, copy = ROOT / file, tree / file
        if source.is_file() and not (copy.exists() and copy.read_bytes() == source.read_bytes()):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    broken = found[0].applied_to((ROOT / found[0].file).read_text())
    if broken is None:
        sys.exit(f"the break does not apply any more: {name}")
    (tree / found[0].file).write_text(broken)
    return build(tree, BROKEN / "target")


class Anyrt:
    """A process that runs programs on one backend."""

    def __init__(self, program, backend):
        self.command, self.process = [program, backend], None

    def run(self, program, schedule):
        if self.process is None:
            # One thread: what a statement does in one step is one step for all.
            environment = {**os.environ, "ASYNC_STD_THREAD_COUNT": "1"}
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE, env=environment)
            os.set_blocking(self.process.stderr.fileno(), False)
        try:
            self.process.stdin.write(json.dumps({"schedule": schedule, "program": program}).encode() + b"\n")
            self.process.stdin.flush()
            answers = select.select([self.process.stdout], [], [], PATIENCE)[0]
            line = self.process.stdout.readline() if answers else b""
        except BrokenPipeError:
            answers, line = [self.process.stdout], b""
        if line:
            self.process.stderr.read()
            return json.loads(line)
        said = (self.process.stderr.read() or b"").decode(errors="replace")[-300:]
        self.process.kill()
        self.process.wait()
        self.process = None
        return [["run", 0, 0, f"died: {said}" if answers else f"no answer in {PATIENCE} seconds", None]]


def trio(program):
    """What the tasks tell on Trio, and how often each class of differences was met."""
    return on_trio.run(program)


def single(fault):
    """A group of one is that one; whether there was any."""
    if not isinstance(fault, list):
        return fault, False
    parts = [single(part) for part in fault]
    if len(parts) == 1:
        return parts[0][0], True
    return [part for part, _ in parts], any(met for _, met in parts)


def by_task(log):
    """What is compared: for each task what it tells, and when, in its order. Whether an error group of one was in it."""
    tasks, met = {}, False
    for task, tick, id, what, fault in log:
        fault, was_single = single(fault)
        met |= was_single
        tasks.setdefault(task, []).append((tick, id, what, fault))
    return tasks, met
