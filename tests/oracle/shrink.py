"""Makes a program smaller as long as both sides still differ."""

import copy

import programs


def shrink(program, differs):
    """The smallest that was found. `differs` says whether a program still shows the difference."""
    while True:
        for smaller in candidates(program):
            if differs(smaller):
                program = smaller
                break
        else:
            return program


def candidates(program):
    """The program with one thing less, the largest things first. Ticks and names stay what they are."""
    for at, statement in sorted(places(program["body"]), key=lambda place: -size(place[1])):
        yield changed(program, at, [])
        for inner in programs.blocks(statement):
            yield changed(program, at, inner)
    for at, statement in places(program["body"]):
        if statement["op"] == "act" and len(statement["acts"]) > 1:
            for number in range(len(statement["acts"])):
                acts = statement["acts"][:number] + statement["acts"][number + 1:]
                yield changed(program, at, [{**statement, "acts": acts}])
        if statement.get("tight"):
            yield changed(program, at, [{key: value for key, value in statement.items() if key != "tight"}])
        if statement.get("local"):
            yield changed(program, at, [{**statement, "local": False}])
    for number, scope in enumerate(program["scopes"]):
        for simpler in ({**scope, "limit": None}, {**scope, "shield": False}):
            if simpler != scope:
                scopes = [*program["scopes"][:number], simpler, *program["scopes"][number + 1:]]
                yield {**program, "scopes": scopes}


def places(block, path=()):
    """Each statement with the way to it."""
    for index, statement in enumerate(block):
        yield (*path, index), statement
        for number, inner in enumerate(programs.blocks(statement)):
            yield from places(inner, (*path, index, number))


def size(statement):
    return 1 + sum(1 for block in programs.blocks(statement) for _ in programs.statements(block))


def changed(program, path, instead):
    """A copy, with these statements in place of the one at `path`."""
    program = copy.deepcopy(program)
    block = program["body"]
    for index, number in zip(path[:-1:2], path[1::2]):
        block = programs.blocks(block[index])[number]
    block[path[-1]:path[-1] + 1] = copy.deepcopy(instead)
    return program


def text(program):
    """The program for readers."""
    lines = [f"round {program['round']}, rescue in round {program['rescue']} at tick {program['rescuer']}, channels "
             f"{program['channels']}, semaphores {program['semaphores']}, limiters {program['limiters']}"]
    lines += [f"scope {number}: {scope}" for number, scope in enumerate(program["scopes"])
              if scope != {"shield": False, "limit": None}]

    def show(block, depth):
        for statement in block:
            rest = {key: value for key, value in statement.items() if key not in ("op", "id", "body", "cleanup", "branches")}
            if statement["op"] == "act":
                rest = "; ".join(" ".join(map(str, act.values())) for act in statement["acts"])
            else:
                rest = ", ".join(f"{key} {value}" for key, value in rest.items())
            lines.append(f"{'    ' * depth}{statement['id']:3} {statement['op']} {rest}")
            for number, inner in enumerate(programs.blocks(statement)):
                if number:
                    lines.append("    " * depth + "    --")
                show(inner, depth + 1)

    show(program["body"], 0)
    return "\n".join(lines)
