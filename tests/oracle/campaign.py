"""The campaign: many programs on both sides, the figures, and each difference that is not explained, made small."""

import argparse
import collections
import multiprocessing
import os
import sys
import time

import programs
import shrink
import sides

BACKENDS = ["seeded", "tokio-current-thread", "smol"]
# Each program runs so often where the order of tasks can be chosen.
SCHEDULES = 2
# Every so many programs Trio is compared with itself.
SELF = 10
# So many differences are made small and shown.
SHOWN = 8
# After so many runs that differ, more of them say nothing new.
ENOUGH = 400
# So often Trio is asked for an answer of anyrt's where two statements may act at once.
ASKED = 50
ORDER = "one of several right answers"
SINGLE = "error group of one"


def schedules(backend, seed):
    return [seed * 1_000 + number + 1 for number in range(SCHEDULES if backend == "seeded" else 1)]


def differs(anyrt, program, schedule):
    """Whether the sides differ; a program that shrinking has made senseless does not count."""
    try:
        theirs, _ = sides.trio(program)
    except Exception:
        return False
    ours = sides.by_task(anyrt.run(program, schedule))[0]
    return ours != sides.by_task(theirs)[0] and not again(program, ours)


def is_tight(program):
    """Whether two statements may act at once."""
    return any(statement.get("tight") for statement in programs.statements(program["body"]))


def again(program, ours):
    """Whether Trio gives that answer, too."""
    return is_tight(program) and any(sides.by_task(sides.trio(program)[0])[0] == ours for _ in range(ASKED))


class Worker:
    def __init__(self, executable, backends):
        self.anyrt = {backend: sides.Anyrt(executable, backend) for backend in backends}

    def compare(self, seed):
        """What one program says: differences, classes, number of events."""
        program = programs.write(seed)
        told, classes = sides.trio(program)
        theirs, was_single = sides.by_task(told)
        met = set(classes) | ({SINGLE} if was_single else set())
        events, differences = len(told), []
        for backend, anyrt in self.anyrt.items():
            for schedule in schedules(backend, seed):
                ours, _ = sides.by_task(anyrt.run(program, schedule))
                if ours == theirs:
                    continue
                if again(program, ours):
                    met.add(ORDER)
                else:
                    differences.append((backend, schedule))
        wavers = seed % SELF == 0 and not is_tight(program) and sides.by_task(sides.trio(program)[0])[0] != theirs
        return seed, events, met, differences, wavers


def begin(executable, backends):
    global worker
    worker = Worker(executable, backends)


def compare(seed):
    return worker.compare(seed)


def show(executable, seed, backend, schedule, small):
    anyrt = sides.Anyrt(executable, backend)
    program = programs.write(seed)
    if small:
        program = shrink.shrink(program, lambda smaller: differs(anyrt, smaller, schedule))
    theirs, ours = sides.by_task(sides.trio(program)[0])[0], sides.by_task(anyrt.run(program, schedule))[0]
    print(f"seed {seed} on {backend}, schedule {schedule}{', made small' if small else ''}:")
    print("    " + shrink.text(program).replace("\n", "\n    "))
    for task in sorted(set(theirs) | set(ours)):
        one, other = theirs.get(task, []), ours.get(task, [])
        same = next((at for at, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
        lines = [f"    {task:>6} both   {tell(entry)}" for entry in one[:same]]
        lines += [f"    {task:>6} {side} {tell(entry)}" for side, log in (("Trio  ", one), ("anyrt ", other)) for entry in log[same:]]
        print("\n".join(lines))
    return theirs != ours


def tell(entry):
    tick, id, what, fault = entry
    return f"tick {tick:4}, statement {id:3}: {what}{'' if fault is None else f' with {fault}'}"


def main():
    parser = argparse.ArgumentParser(usage="tests/oracle/run [COUNT] [SEED] [--backend NAME] [--replay SEED] [--broken NAME]")
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--backend", action="append")
    parser.add_argument("--replay", type=int)
    parser.add_argument("--schedule", type=int)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--broken")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    backends = asked.backend or BACKENDS
    executable = sides.build_broken(asked.broken) if asked.broken else sides.build()
    if asked.replay is not None:
        schedule = asked.schedule or schedules(backends[0], asked.replay)[0]
        sys.exit(show(executable, asked.replay, backends[0], schedule, asked.small))

    began = time.monotonic()
    events, runs, explained, unexplained, wavers = 0, 0, collections.Counter(), [], []
    agreed = done = 0
    each = sum(len(schedules(backend, 0)) for backend in backends)
    with multiprocessing.Pool(asked.workers, begin, (executable, backends)) as pool:
        seeds = range(asked.seed, asked.seed + asked.count)
        for seed, told, met, differences, wavered in pool.imap_unordered(compare, seeds, chunksize=20):
            events, runs = events + told, runs + each
            unexplained += [(seed, *difference) for difference in differences]
            wavers += [seed] * wavered
            agreed += not met and not differences
            if not differences:
                explained.update(met)
            done += 1
            if len(unexplained) > ENOUGH:
                print(f"stops after {done} programs")
                pool.terminate()
                break
    failed = len({seed for seed, _, _ in unexplained})
    minutes = (time.monotonic() - began) / 60
    print(f"{done} programs from seed {asked.seed}, {events} events on Trio, {runs} runs on anyrt ({', '.join(backends)}), {minutes:.1f} minutes")
    print(f"{agreed:7} agreed event for event")
    print(f"{done - agreed - failed:7} agreed but for what is meant to differ; of these")
    for name, number in sorted(explained.items()):
        print(f"{number:11} met: {name}")
    print(f"{failed:7} differ and are not explained, in {len(unexplained)} runs")
    print(f"{len(wavers):7} of {done // SELF} differ on Trio from one run to the next {wavers or ''}")
    shown = set()
    for seed, backend, schedule in sorted(unexplained):
        if seed not in shown and len(shown) < SHOWN:
            shown.add(seed)
            print()
            show(executable, seed, backend, schedule, small=True)
            print(f"    again: tests/oracle/run --replay {seed} --backend {backend} --schedule {schedule} [--small]")
    rest = sorted({seed for seed, _, _ in unexplained} - shown)
    if rest:
        print(f"\nfurther seeds: {' '.join(map(str, rest))}")
    sys.exit(1 if unexplained or wavers else 0)


if __name__ == "__main__":
    main()
