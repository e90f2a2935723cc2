"""Does what a program says, on Trio. `interpreter.rs` does the same, line by line."""

import collections
import contextlib
import math
import os
import sys

import trio
import trio.testing

# After so many rounds with the rescuer a program is stuck.
ROUNDS_OF_RESCUE = 60


class Fault(Exception):
    """The error of a program."""


def parted(error):
    """Its faults, a name or a list, and the cancellation in it."""
    if isinstance(error, trio.Cancelled):
        return None, error
    if isinstance(error, BaseExceptionGroup):
        cancelled, faults = error.split(trio.Cancelled)
        return (told(faults) if faults else None), cancelled
    return told(error), None


def told(error):
    if isinstance(error, BaseExceptionGroup):
        return [told(one) for one in error.exceptions]
    return str(error) if isinstance(error, Fault) else f"foreign: {error!r}"


def is_cancelled_outside(scope):
    """Whether a cancellation around a scope reaches into it. The one thing here that is not Trio's public API."""
    return scope._cancel_status is not None and scope._cancel_status.parent_cancellation_is_visible_to_us


def leaves(error):
    """The exceptions in it."""
    return [leaf for one in error.exceptions for leaf in leaves(one)] if isinstance(error, BaseExceptionGroup) else [error]


def reason_of(error):
    """The reason of the first cancellation in it."""
    while isinstance(error, BaseExceptionGroup):
        error = next((one for one in error.exceptions if parted(one)[1]), error.exceptions[0])
    if not isinstance(error, trio.Cancelled):
        return None
    return error.reason or {"deadline": "Deadline", "nursery": "SiblingFailed"}.get(error.source, error.source)


async def at_once_or(at_once, wait):
    """What is free is taken without letting others run, but not in a cancelled scope."""
    await trio.lowlevel.checkpoint_if_cancelled()
    try:
        return at_once()
    except trio.WouldBlock:
        return await wait()


async def at_once_or_wait(event):
    if event.is_set():
        await trio.lowlevel.checkpoint_if_cancelled()
    else:
        await event.wait()


@contextlib.asynccontextmanager
async def taken(thing):
    await at_once_or(thing.acquire_nowait, thing.acquire)
    try:
        yield
    finally:
        thing.release()


class Place:
    """Whose doing it is: a task, or a branch of a join or race."""

    def __init__(self, task, status=None):
        self.task, self.status, self.handle = task, status, Handle()


class Handle:
    """The handle of a child."""

    def __init__(self):
        self.scope, self.event, self.how = trio.CancelScope(), trio.Event(), None


class World:
    def __init__(self, program, clock):
        self.program, self.clock, self.log = program, clock, []
        # Why a scope was cancelled first, if not by a deadline that passed.
        self.reasons = {}
        self.entered = set()
        self.ended = set()
        # Those that were cancelled when they had ended.
        self.too_late = set()
        # The groups of which a child ended by a cancellation when one from outside of the group was there.
        self.cut_from_outside = set()
        # The scopes that are being left or run in, and those of them which a cancellation came through when it was raised.
        self.open, self.came_from_outside = set(), {}
        # What children and bodies of groups ended with, other than well.
        self.raised = []
        # When those were entered whose deadline had passed by then.
        self.entered_late = {}
        # How often each class of differences was met.
        self.classes = collections.Counter()
        self.scopes = [trio.CancelScope(shield=scope["shield"]) for scope in program["scopes"]]
        self.groups = [None] * program["groups"]
        # Handles that nobody has taken, by the statement that spawned.
        self.children = {}
        self.events = [trio.Event() for _ in range(program["events"])]
        self.locks = [trio.Lock() for _ in range(program["locks"])]
        self.conditions = [trio.Condition() for _ in range(program["conditions"])]
        # Who waits for each of them, in their order.
        self.waiting = [[] for _ in self.conditions]
        self.semaphores = [trio.Semaphore(permits) for permits in program["semaphores"]]
        self.limiters = [trio.CapacityLimiter(total) for total in program["limiters"]]
        self.channels = [trio.open_memory_channel(capacity) for capacity in program["channels"]]

    def tell(self, place, id, what, fault=None):
        self.log.append([place.task, now(), id, what, fault])

    def cancel(self, number, reason):
        """Cancels a scope, and notes why: Trio's exception may tell the reason of a scope further inside."""
        scope = self.scopes[number]
        if number in self.ended:
            if not scope.cancel_called:
                self.too_late.add(number)
        elif number not in self.reasons and self.entered_late.get(number) == now():
            self.classes["deadline had passed when it was entered"] += 1
            self.reasons[number] = reason
        elif number not in self.reasons and not (number in self.entered and scope.cancel_called):
            self.reasons[number] = reason
        scope.cancel(reason)

    def tick_of(self, limit):
        """The tick that a limit means now: always in the future."""
        round = self.program["round"]
        ahead = (limit["tick"] - now()) % round
        return now() + (ahead or round) + limit["rounds"] * round

    async def run(self):
        main = Place("main")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.rescue)
            try:
                with self.scopes[0] as root:
                    await self.block(self.program["body"], main)
                self.tell(main, 0, "cut" if root.cancelled_caught else "finished")
            except Exception as error:
                self.tell(main, 0, "failed", parted(error)[0])
            nursery.cancel_scope.cancel()

    async def rescue(self):
        """Ends a program that would wait for ever: first from outside, then each scope and group by itself."""
        tick = self.program["rescuer"]
        await trio.sleep_until(self.tick_of({"tick": tick, "rounds": self.program["rescue"]}))
        self.cancel(0, "rescue")
        for _ in range(ROUNDS_OF_RESCUE):
            await trio.sleep_until(self.tick_of({"tick": tick, "rounds": 0}))
            for number in range(len(self.scopes)):
                self.cancel(number, "rescue")
            for group in range(len(self.groups)):
                self.cancel_group(group)
        print("stuck on Trio:", self.program, file=sys.stderr)
        os._exit(3)

    async def block(self, statements, place):
        try:
            for statement in statements:
                if not statement.get("tight"):
                    await self.until_its_tick(statement["id"])
                self.tell(place, statement["id"], "begins")
                await getattr(self, "do_" + statement["op"])(statement, place)
        except trio.Cancelled as cancelled:
            if cancelled not in self.came_from_outside:
                self.came_from_outside[cancelled] = {scope for scope in self.open if is_cancelled_outside(scope)}
            raise

    async def until_its_tick(self, id):
        """Nobody else acts at that tick of a round."""
        await trio.sleep_until(self.tick_of({"tick": id, "rounds": 0}))

    async def do_sleep(self, it, place):
        later = it["rounds"] - 1
        await trio.sleep_until(self.tick_of({"tick": it["id"], "rounds": later}) if later >= 0 else now())
        self.tell(place, it["id"], "slept")

    async def do_checkpoint(self, it, place):
        await trio.lowlevel.checkpoint()
        self.tell(place, it["id"], "passed")

    async def do_raise(self, it, place):
        raise Fault(f"e{it['id']}")

    async def do_catch(self, it, place):
        try:
            await self.block(it["body"], place)
        except BaseException as error:
            fault, cancelled = parted(error)
            if fault is not None:
                self.tell(place, it["id"], "caught", fault)
            # A cancellation is not swallowed.
            if cancelled is not None:
                raise cancelled
        else:
            self.tell(place, it["id"], "nothing to catch")

    async def do_scope(self, it, place):
        await self.in_scope(it["scope"], it["id"], it["body"], place)

    async def in_scope(self, number, id, body, place):
        scope = self.scopes[number]
        limit = self.program["scopes"][number]["limit"]
        if limit:
            scope.deadline = min(scope.deadline, self.tick_of(limit))
        self.entered.add(number)
        if number not in self.reasons and scope.deadline <= now():
            self.entered_late[number] = now()
        try:
            with self.noted(scope) as raised:
                await self.block(body, place)
        finally:
            self.ended.add(number)
        if scope.cancelled_caught:
            reason = reason_of(raised[0])
            own = self.reasons.get(number, "Deadline")
            if reason != own:
                self.classes["reason of a scope inside"] += 1
            self.tell(place, id, f"cut: {own}")
        else:
            self.tell(place, id, "finished")

    @contextlib.contextmanager
    def noted(self, scope):
        """In a scope: gives what it catches. What came from outside through it goes on, even if it was cancelled itself behind a
        shield that was put up meanwhile."""
        raised = []
        with scope:
            self.open.add(scope)
            try:
                yield raised
            except BaseException as error:
                raised.append(error)
                raise
            finally:
                self.open.discard(scope)
        if scope.cancelled_caught:
            self.go_on_from(scope, raised[0])

    def go_on_from(self, scope, error):
        for cancelled in leaves(error):
            if scope in self.came_from_outside.get(cancelled, ()):
                self.classes["shield put up too late, then cancelled itself"] += 1
                raise cancelled

    async def do_move_on(self, it, place):
        scope = trio.CancelScope(deadline=self.tick_of(it["limit"]))
        with self.noted(scope):
            await self.block(it["body"], place)
        self.tell(place, it["id"], "cut" if scope.cancelled_caught else "finished")

    async def do_fail_after(self, it, place):
        scope = trio.CancelScope(deadline=self.tick_of(it["limit"]))
        with self.noted(scope):
            await self.block(it["body"], place)
        if scope.cancelled_caught:
            raise Fault(f"late{it['id']}")
        self.tell(place, it["id"], "finished")

    async def do_shield(self, it, place):
        with trio.CancelScope(shield=True):
            await self.in_scope(it["scope"], it["id"], it["body"], place)

    async def do_finally(self, it, place):
        try:
            await self.block(it["body"], place)
        finally:
            with trio.CancelScope(shield=True):
                self.tell(place, it["id"], "cleans up")
                try:
                    await self.in_scope(it["scope"], it["id"], it["cleanup"], place)
                except Exception as error:
                    self.tell(place, it["id"], "clean-up failed", parted(error)[0])
                else:
                    self.tell(place, it["id"], "cleaned up")
        self.tell(place, it["id"], "finished")

    async def do_group(self, it, place):
        finished = False
        try:
            async with trio.open_nursery() as nursery:
                self.groups[it["group"]] = nursery
                self.open.add(nursery.cancel_scope)
                try:
                    await self.block(it["body"], place)
                except BaseException as error:
                    self.raised.append((nursery, error))
                    raise
                finished = True
            for group, error in self.raised:
                if group is nursery:
                    self.go_on_from(nursery.cancel_scope, error)
        except BaseException as error:
            fault, _ = parted(error)
            if fault is not None:
                self.tell(place, it["id"], "failed", fault)
            if fault is not None or not finished or nursery in self.cut_from_outside:
                raise
            self.classes["value kept by a group that was cancelled itself"] += 1
        self.tell(place, it["id"], "finished" if finished else "cut")

    async def child(self, body, id, place):
        """The task of a child, with a handle as anyrt has it: it cancels this task, and knows how it ended."""
        handle = place.handle
        try:
            with self.noted(handle.scope):
                await self.block(body, place)
        except BaseException as error:
            # A child of `start` may belong to another group by now.
            group = trio.lowlevel.current_task().parent_nursery
            self.raised.append((group, error))
            fault, cancelled = parted(error)
            if fault is not None:
                self.tell(place, id, "fails", fault)
                if place.status is None:
                    # The group hears of it before those who wait for the child.
                    group.cancel_scope.cancel("a child has failed")
            if cancelled is not None and is_cancelled_outside(group.cancel_scope):
                self.cut_from_outside.add(group)
            handle.how = "it has failed" if fault is not None else "it was cancelled"
            handle.event.set()
            raise
        if not handle.scope.cancelled_caught:
            self.tell(place, id, "ends")
            handle.how = "it has ended"
        else:
            handle.how = "it was cancelled"
        handle.event.set()

    async def do_spawn(self, it, place):
        group = self.groups[it["group"]]
        if group is None:
            self.tell(place, it["id"], "refused")
            return
        child = Place(f"t{it['id']}")
        try:
            group.start_soon(self.child, it["body"], it["id"], child)
            self.children[it["id"]] = child.handle
            self.tell(place, it["id"], "spawned")
        except RuntimeError:
            self.tell(place, it["id"], "refused")

    async def do_start(self, it, place):
        async def starting(*, task_status):
            await self.child(it["body"], it["id"], Place(f"t{it['id']}", task_status))

        group = self.groups[it["group"]]
        if group is None:
            self.tell(place, it["id"], "refused")
            return
        try:
            value = await group.start(starting)
        except RuntimeError as error:
            if "closed" in str(error):
                self.tell(place, it["id"], "refused")
                return
            raise Fault(f"unready{it['id']}") from None
        self.tell(place, it["id"], f"started with {value}")

    async def do_started(self, it, place):
        if place.status:
            place.status.started(it["id"])
            place.status = None

    async def branches(self, it, ended):
        """Runs both branches of a join or race; `ended` hears of each that has a value or a fault."""
        async with trio.open_nursery() as nursery:
            async def branch(number):
                cancelled = fault = None
                try:
                    await self.block(it["branches"][number], Place(f"{it['id']}.{number}"))
                except BaseException as error:
                    fault, cancelled = parted(error)
                    if fault is None:
                        raise
                    fault = error.split(trio.Cancelled)[1] if isinstance(error, BaseExceptionGroup) else error
                ended(nursery, number, fault)
                if cancelled is not None:
                    raise cancelled

            nursery.start_soon(branch, 0)
            nursery.start_soon(branch, 1)

    async def do_join(self, it, place):
        faults = {}
        await self.branches(it, lambda _, number, fault: faults.update({number: fault}))
        for _, fault in sorted(faults.items()):
            if fault is not None:
                raise fault
        self.tell(place, it["id"], "joined")

    async def do_race(self, it, place):
        won = []

        def ended(nursery, number, fault):
            if not won:
                won.append((number, fault))
                nursery.cancel_scope.cancel()

        try:
            await self.branches(it, ended)
        except BaseException as error:
            # Who ended with a value returns it: the next checkpoint is soon enough.
            if not won or parted(error)[0] is not None:
                raise
        number, fault = won[0]
        self.tell(place, it["id"], f"won by {number}")
        if fault is not None:
            raise fault

    async def do_act(self, it, place):
        for act in it["acts"]:
            what = self.act(it["id"], act)
            if what is not None:
                self.tell(place, it["id"], what)

    async def do_wait(self, it, place):
        await at_once_or_wait(self.events[it["event"]])
        self.tell(place, it["id"], "happened")

    async def do_ended(self, it, place):
        handle = self.children.pop(it["child"], None)
        if handle is None:
            self.tell(place, it["id"], "nobody")
            return
        await at_once_or_wait(handle.event)
        self.tell(place, it["id"], handle.how)

    async def do_lock(self, it, place):
        async with taken(self.locks[it["lock"]]):
            self.tell(place, it["id"], "locked")
            await self.block(it["body"], place)

    async def do_semaphore(self, it, place):
        async with taken(self.semaphores[it["semaphore"]]):
            self.tell(place, it["id"], "acquired")
            await self.block(it["body"], place)

    async def do_limiter(self, it, place):
        async with taken(self.limiters[it["limiter"]]):
            self.tell(place, it["id"], "borrowed")
            await self.block(it["body"], place)

    async def do_send(self, it, place):
        try:
            sender = self.channels[it["channel"]][0]
            await at_once_or(lambda: sender.send_nowait(it["id"]), lambda: sender.send(it["id"]))
            self.tell(place, it["id"], "sent")
        except trio.ClosedResourceError:
            self.tell(place, it["id"], "closed")
        except trio.BrokenResourceError:
            self.tell(place, it["id"], "broken")

    async def do_receive(self, it, place):
        try:
            receiver = self.channels[it["channel"]][1]
            item = await at_once_or(receiver.receive_nowait, receiver.receive)
            self.tell(place, it["id"], f"received {item}")
        except trio.ClosedResourceError:
            self.tell(place, it["id"], "closed")
        except trio.EndOfChannel:
            self.tell(place, it["id"], "end")

    async def do_await(self, it, place):
        condition = self.conditions[it["condition"]]
        async with taken(condition):
            self.tell(place, it["id"], "locked")
            me, waiting = object(), self.waiting[it["condition"]]
            waiting.append(me)
            try:
                await condition.wait()
            except trio.Cancelled:
                if me in waiting:
                    waiting.remove(me)
                    raise
                # It was notified before, and waits for the lock only.
                self.classes["notified before it was cancelled"] += 1
            self.tell(place, it["id"], "notified")
            await self.block(it["body"], place)

    async def do_notify(self, it, place):
        condition = self.conditions[it["condition"]]
        async with taken(condition):
            condition.notify(it["number"])
            del self.waiting[it["condition"]][:it["number"]]
            self.tell(place, it["id"], "notifies")

    def cancel_group(self, group):
        if self.groups[group]:
            self.groups[group].cancel_scope.cancel("by name")

    def act(self, id, act):
        """What there is to tell of it."""
        match act["act"]:
            case "cancel_scope":
                self.cancel(act["scope"], f"by {id}")
            case "cancel_group":
                self.cancel_group(act["group"])
            case "cancel_child":
                if act["child"] in self.children:
                    self.children[act["child"]].scope.cancel("by its handle")
            case "shield":
                self.scopes[act["scope"]].shield = act["up"]
            case "deadline":
                self.scopes[act["scope"]].deadline = self.tick_of(act["limit"])
            case "expire":
                self.scopes[act["scope"]].deadline = 0
                # Trio looks at the deadline here: it is cancelled at once, as it is on the other side.
                if self.scopes[act["scope"]].cancel_called and act["scope"] not in self.entered:
                    self.reasons.setdefault(act["scope"], "Deadline")
            case "set":
                self.events[act["event"]].set()
            case "try_send":
                try:
                    self.channels[act["channel"]][0].send_nowait(id)
                    return "sent"
                except trio.WouldBlock:
                    return "full"
                except trio.ClosedResourceError:
                    return "closed"
                except trio.BrokenResourceError:
                    return "broken"
            case "try_receive":
                try:
                    return f"received {self.channels[act['channel']][1].receive_nowait()}"
                except trio.WouldBlock:
                    return "empty"
                except trio.ClosedResourceError:
                    return "closed"
                except trio.EndOfChannel:
                    return "end"
            case "close_sender":
                self.channels[act["channel"]][0].close()
            case "close_receiver":
                self.channels[act["channel"]][1].close()
            case "total":
                self.limiters[act["limiter"]].total_tokens = act["total"]
            case "look":
                deadline = trio.current_effective_deadline()
                return f"deadline {deadline if math.isinf(deadline) else int(deadline)}"
            case "called":
                called = self.scopes[act["scope"]].cancel_called
                if act["scope"] in self.too_late:
                    self.classes["cancelled after its end"] += 1
                    called = False
                return f"called {str(called).lower()}"


def now():
    return int(trio.current_time())


def run(program):
    """What the tasks of a program tell on Trio, and which classes of differences were met."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    world = World(program, clock)
    trio.run(world.run, clock=clock)
    return world.log, world.classes
