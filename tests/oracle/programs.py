"""Random programs of structured concurrency: one seed, one program. Both sides interpret what is written here."""

import random

# How often each statement is written, where it can be.
WEIGHTS = {
    "sleep": 5, "checkpoint": 1, "act": 9, "wait": 2.5, "ended": 1.5, "scope": 5, "move_on": 2, "fail_after": 2, "shield": 1.5, "finally": 3,
    "group": 4, "spawn": 7, "start": 3, "started": 8, "catch": 3, "raise": 1.2, "lock": 2, "semaphore": 1.5, "limiter": 1,
    "send": 2, "receive": 2, "await": 1, "notify": 1, "join": 1, "race": 1,
}
ACTS = {
    "cancel_scope": 6, "cancel_group": 3, "cancel_child": 1.5, "shield": 4, "deadline": 2, "expire": 0.7, "set": 7, "try_send": 1.5, "try_receive": 1,
    "close_sender": 0.4, "close_receiver": 0.4, "total": 0.5, "look": 2, "called": 2,
}
WITH_BLOCKS = {"scope", "move_on", "fail_after", "shield", "finally", "group", "spawn", "start", "catch", "lock", "semaphore",
               "limiter", "await", "join", "race"}


class Task:
    """What the task that is being written has around it."""

    def __init__(self, groups=(), locks=(), starting=False, in_place=False):
        self.groups, self.locks = list(groups), set(locks)
        # Whether it was begun by `start` and has not said that it is ready.
        self.starting = starting
        # Whether it shares anyrt's task with others: a limiter knows its borrowers by their task.
        self.in_place = in_place


class Writer:
    def __init__(self, seed, tight):
        self.random = random.Random(seed)
        self.tight = tight
        self.size = self.random.choice([12, 20, 30, 42])
        self.statements, self.limits, self.acts = [], [], []
        # The first is around the whole program.
        self.scopes, self.groups = [{"shield": False, "limit": None}], []
        number = lambda most: self.random.randint(1, most)
        self.events, self.locks, self.conditions = number(3), number(2), 1
        self.semaphores = [number(2) for _ in range(number(2))]
        self.limiters = [number(2)]
        self.channels = [self.random.randint(0, 2) for _ in range(number(2))]

    def program(self):
        body = self.crowd() if self.random.random() < 0.8 else self.block(Task(), 0, 5)
        # Each has its own tick of a round: what they do is in the same order on both sides.
        named = [*self.statements, *self.limits]
        ticks = list(range(1, len(named) + 1))
        self.random.shuffle(ticks)
        for thing, tick in zip(named, ticks):
            thing["id" if "op" in thing else "tick"] = tick
        children = [statement["id"] for statement in self.statements if statement["op"] == "spawn"]
        for thing in [*self.acts, *self.statements]:
            if "child" in thing:
                thing["child"] = children[thing["child"] % len(children)] if children else 0
        for act in self.acts:
            for name, count in (("scope", len(self.scopes)), ("group", len(self.groups))):
                if name in act:
                    # The scope around everything is left to the rescuer.
                    act[name] = 1 + act[name] % (count - 1) if name == "scope" and count > 1 else act[name] % max(count, 1)
        return {
            "round": len(named) + 2, "rescuer": len(named) + 1, "rescue": self.random.choice([6, 9]), "scopes": self.scopes,
            "groups": len(self.groups), "events": self.events, "locks": self.locks, "conditions": self.conditions,
            "semaphores": self.semaphores, "limiters": self.limiters, "channels": self.channels, "body": body,
        }

    def crowd(self):
        """A group with some children, who meet each other."""
        task = Task()
        around = [self.statement(task, 1)] if self.random.random() < 0.2 else []
        group = {"op": "group", "group": len(self.groups), "local": self.random.random() < 0.2}
        self.statements.append(group)
        self.groups.append(group["local"])
        task.groups.append((group["group"], group["local"]))
        group["body"] = []
        for _ in range(self.random.randint(1, 4)):
            if self.random.random() < 0.8:
                child = {"op": "spawn", **self.write_spawn(task, 1)}
                self.statements.append(child)
                group["body"].append(child)
            else:
                group["body"].append(self.statement(task, 1))
        task.groups.pop()
        return [*around, group, *self.block(task, 0, 2)]

    def block(self, task, depth, most=3):
        return [self.statement(task, depth) for _ in range(self.random.randint(1, most))]

    def statement(self, task, depth):
        op = self.choose(task, depth)
        statement = {"op": op}
        self.statements.append(statement)
        if self.random.random() < self.tight:
            statement["tight"] = True
        statement.update(getattr(self, "write_" + op.replace("raise", "fault"))(task, depth + 1))
        return statement

    def choose(self, task, depth):
        def possible(op):
            if op in WITH_BLOCKS and (depth >= 5 or len(self.statements) >= self.size):
                return False
            if op == "spawn" or op == "start":
                return any(op == "spawn" or not local for _, local in task.groups)
            if op == "lock":
                return len(self.free_locks(task)) > 0
            if op == "limiter":
                return not task.in_place and "limiter" not in task.locks
            if op in ("await", "notify"):
                return "condition" not in task.locks
            return op != "started" or task.starting

        ops = [op for op in WEIGHTS if possible(op)]
        return self.random.choices(ops, [WEIGHTS[op] for op in ops])[0]

    def free_locks(self, task):
        return [lock for lock in range(self.locks) if lock not in task.locks]

    def limit(self, rounds=(0, 0, 1, 2, 3)):
        limit = {"rounds": self.random.choice(rounds)}
        self.limits.append(limit)
        return limit

    def scope(self, shield=False, limit=None):
        self.scopes.append({"shield": shield, "limit": limit})
        return len(self.scopes) - 1

    def with_lock(self, task, name, depth):
        task.locks.add(name)
        body = self.block(task, depth)
        task.locks.discard(name)
        return body

    def write_sleep(self, task, depth):
        return {"rounds": self.random.randint(1, 3)}

    def write_checkpoint(self, task, depth):
        return {}

    def write_fault(self, task, depth):
        return {}

    def write_catch(self, task, depth):
        return {"body": self.block(task, depth)}

    def write_scope(self, task, depth):
        limit = self.limit() if self.random.random() < 0.4 else None
        return {"scope": self.scope(self.random.random() < 0.25, limit), "body": self.block(task, depth)}

    def write_move_on(self, task, depth):
        return {"limit": self.limit(), "body": self.block(task, depth)}

    write_fail_after = write_move_on

    def write_shield(self, task, depth):
        return {"scope": self.scope(), "body": self.block(task, depth, 2)}

    def write_finally(self, task, depth):
        body = self.block(task, depth)
        return {"body": body, "scope": self.scope(), "cleanup": self.block(task, depth, 2)}

    def write_group(self, task, depth):
        group, local = len(self.groups), self.random.random() < 0.25
        self.groups.append(local)
        task.groups.append((group, local))
        body = self.block(task, depth, 4)
        task.groups.pop()
        return {"group": group, "local": local, "body": body}

    def write_spawn(self, task, depth):
        # Most often the innermost.
        group, local = task.groups[-1] if self.random.random() < 0.7 else self.random.choice(task.groups)
        child = Task(task.groups, in_place=local)
        return {"group": group, "body": self.block(child, depth)}

    def write_start(self, task, depth):
        group, _ = self.random.choice([group for group in task.groups if not group[1]])
        child = Task(task.groups, starting=True)
        return {"group": group, "body": self.block(child, depth, 4)}

    def write_started(self, task, depth):
        task.starting = False
        return {}

    def write_join(self, task, depth):
        def branch():
            # Ends at a tick of its own.
            written = self.block(Task(task.groups, task.locks, in_place=True), depth, 2)
            last = {"op": "sleep", "rounds": 0}
            self.statements.append(last)
            return written + [last]

        return {"branches": [branch(), branch()]}

    write_race = write_join

    def write_lock(self, task, depth):
        lock = self.random.choice(self.free_locks(task))
        return {"lock": lock, "body": self.with_lock(task, lock, depth)}

    def write_semaphore(self, task, depth):
        return {"semaphore": self.random.randrange(len(self.semaphores)), "body": self.block(task, depth)}

    def write_limiter(self, task, depth):
        return {"limiter": 0, "body": self.with_lock(task, "limiter", depth)}

    def write_await(self, task, depth):
        return {"condition": 0, "body": self.with_lock(task, "condition", depth)}

    def write_notify(self, task, depth):
        return {"condition": 0, "number": self.random.randint(1, 2)}

    def write_wait(self, task, depth):
        return {"event": self.random.randrange(self.events)}

    def write_ended(self, task, depth):
        return {"child": self.random.randrange(1 << 20)}

    def write_send(self, task, depth):
        return {"channel": self.random.randrange(len(self.channels))}

    write_receive = write_send

    def write_act(self, task, depth):
        return {"acts": [self.act() for _ in range(self.random.choice([1, 1, 1, 2, 2, 3]))]}

    def act(self):
        # Without a buffer only `recv` meets a sender here; Trio's `receive_nowait` does, too.
        buffered = [channel for channel, capacity in enumerate(self.channels) if capacity > 0]
        names = [name for name in ACTS if name != "try_receive" or buffered]
        name = self.random.choices(names, [ACTS[name] for name in names])[0]
        act = {"act": name}
        if name in ("cancel_scope", "shield", "deadline", "expire", "called"):
            act["scope"] = self.random.randrange(1 << 20)
        if name == "cancel_child":
            act["child"] = self.random.randrange(1 << 20)
        if name == "cancel_group":
            act["group"] = self.random.randrange(1 << 20)
        if name == "shield":
            act["up"] = self.random.random() < 0.5
        if name == "deadline":
            act["limit"] = self.limit()
        if name == "set":
            act["event"] = self.random.randrange(self.events)
        if name in ("try_send", "close_sender", "close_receiver"):
            act["channel"] = self.random.randrange(len(self.channels))
        if name == "try_receive":
            act["channel"] = self.random.choice(buffered)
        if name == "total":
            act["limiter"], act["total"] = 0, self.random.randint(1, 3)
        self.acts.append(act)
        return act


def write(seed):
    """The program of a seed."""
    writer = Writer(seed, 0.0 if seed % 4 else 0.25)
    program = writer.program()
    if not writer.groups:
        drop_acts(program["body"], "cancel_group")
    if len(writer.scopes) == 1:
        for name in ("cancel_scope", "shield", "deadline", "expire", "called"):
            drop_acts(program["body"], name)
    return program


def drop_acts(block, name):
    for statement in statements(block):
        if statement["op"] == "act":
            statement["acts"] = [act for act in statement["acts"] if act["act"] != name]


def blocks(statement):
    """The blocks of a statement."""
    return [statement[key] for key in ("body", "cleanup") if key in statement] + statement.get("branches", [])


def statements(block):
    """All statements of a block, at any depth."""
    for statement in block:
        yield statement
        for inner in blocks(statement):
            yield from statements(inner)
