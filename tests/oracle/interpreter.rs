//! Does what a program says. `on_trio.py` does the same, line by line.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use anyrt::channel::{RecvError, SendError, TryRecvError, TrySendError};
use anyrt::group::NotReady;
use anyrt::scope::EffectiveDeadline;
use anyrt::{BoxError, Either, GroupError};

use crate::program::{Act, Limit, Op, Statement};
use crate::world::{Child, Fault, Group, Place, World, lock};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Ended = Result<(), Fault>;

/// After so many rounds with the rescuer a program is stuck.
const ROUNDS_OF_RESCUE: u64 = 60;

/// Runs the whole program, and everybody that it has begun to its end.
pub(crate) async fn run(world: Arc<World>) {
    let main = Place::new("main".to_owned(), None);
    let rescuer = anyrt::spawn(rescue(world.clone()));
    let program = {
        let (world, body) = (world.clone(), &world.program.body);
        anyrt::spawn(async move {
            let root = lock(&world.scopes[0]).take();
            let Some(root) = root else { return };
            let ended = root.run(async |_| block(world.clone(), body, main.clone()).await).await;
            match ended {
                Ok(Ok(())) => world.tell(&main, 0, "finished"),
                Ok(Err(fault)) => world.tell_fault(&main, 0, "failed", Some(fault)),
                Err(_) => world.tell(&main, 0, "cut"),
            }
        })
    };
    let mut program = std::pin::pin!(program);
    let given_up = poll_fn(|cx| match program.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(false),
        Poll::Pending => world.clock.poll_given_up(cx).map(|()| true),
    });
    if given_up.await {
        world.tell(&Place::new("main".to_owned(), None), 0, "stuck");
    }
    rescuer.cancel_with("the program has ended");
}

/// Ends a program that would wait for ever: first from outside, then each scope and group by itself.
async fn rescue(world: Arc<World>) {
    let tick = world.program.rescuer;
    sleep_until(&world, world.tick_of(Limit { tick, rounds: world.program.rescue })).await;
    world.handles[0].cancel_with("rescue");
    for _ in 0..ROUNDS_OF_RESCUE {
        sleep_until(&world, world.tick_of(Limit { tick, rounds: 0 })).await;
        world.handles.iter().for_each(|scope| scope.cancel_with("rescue"));
        (0..world.groups.len()).for_each(|group| cancel_group(&world, group));
    }
    world.clock.give_up();
}

fn block(world: Arc<World>, statements: &'static [Statement], place: Place) -> Boxed<Ended> {
    Box::pin(async move {
        for statement in statements {
            if !statement.tight {
                until_its_tick(&world, statement.id).await;
            }
            world.tell(&place, statement.id, "begins");
            execute(&world, statement, &place).await?;
        }
        Ok(())
    })
}

/// Nobody else acts at that tick of a round.
async fn until_its_tick(world: &World, id: u64) {
    sleep_until(world, world.tick_of(Limit { tick: id, rounds: 0 })).await;
    if world.clock.is_given_up() {
        // Time does not order anything any more.
        std::future::pending().await
    }
}

async fn sleep_until(world: &World, tick: u64) {
    anyrt::sleep_until(world.clock.at(tick)).await;
}

async fn execute(world: &Arc<World>, statement: &'static Statement, place: &Place) -> Ended {
    let id = statement.id;
    let tell = |what: &str| world.tell(place, id, what);
    let inside = |body: &'static [Statement]| block(world.clone(), body, place.clone());
    let branch = |body: &'static [Statement], number: usize| {
        block(world.clone(), body, Place::new(format!("{id}.{number}"), None))
    };
    match &statement.op {
        Op::Sleep { rounds } => {
            let tick = match rounds {
                0 => world.clock.tick(),
                _ => world.tick_of(Limit { tick: id, rounds: rounds - 1 }),
            };
            sleep_until(world, tick).await;
            tell("slept");
        }
        Op::Checkpoint => {
            anyrt::checkpoint().await;
            tell("passed");
        }
        Op::Raise => return Err(Fault::One(format!("e{id}"))),
        Op::Catch { body } => match inside(body).await {
            Ok(()) => tell("nothing to catch"),
            Err(fault) => world.tell_fault(place, id, "caught", Some(fault)),
        },
        Op::Scope { scope, body } => in_scope(world, place, id, *scope, inside(body)).await?,
        Op::MoveOn { limit, body } => {
            let deadline = world.clock.at(world.tick_of(*limit));
            match anyrt::move_on_at(deadline, inside(body)).await {
                Some(ended) => {
                    ended?;
                    tell("finished");
                }
                None => tell("cut"),
            }
        }
        Op::FailAfter { limit, body } => {
            let deadline = world.clock.at(world.tick_of(*limit));
            match anyrt::fail_at(deadline, inside(body)).await {
                Ok(ended) => {
                    ended?;
                    tell("finished");
                }
                Err(_) => return Err(Fault::One(format!("late{id}"))),
            }
        }
        Op::Shield { scope, body } => {
            anyrt::shield(in_scope(world, place, id, *scope, inside(body))).await?;
        }
        Op::Finally { body, scope, cleanup } => {
            let ended = anyrt::finally(inside(body), async |_| {
                tell("cleans up");
                match in_scope(world, place, id, *scope, inside(cleanup)).await {
                    Ok(()) => tell("cleaned up"),
                    Err(fault) => world.tell_fault(place, id, "clean-up failed", Some(fault)),
                }
            })
            .await;
            ended?;
            tell("finished");
        }
        Op::Group { group, local: false, body } => {
            let ended = anyrt::try_task_group(async |tg| {
                *lock(&world.groups[*group]) = Some(Group::Tasks(tg));
                Ok(inside(body).await?)
            });
            end_group(world, place, id, ended.await)?;
        }
        Op::Group { group, local: true, body } => {
            let ended = anyrt::LocalGroup::sendable().try_run(|tg| {
                *lock(&world.groups[*group]) = Some(Group::Local(tg));
                let body = inside(body);
                async { Ok(body.await?) }
            });
            end_group(world, place, id, ended.await)?;
        }
        Op::Spawn { group, body } => {
            let theirs = Place::new(format!("t{id}"), None);
            let child = child(world.clone(), body, id, theirs);
            let handle = match world.group(*group) {
                Some(Group::Tasks(tg)) => Some(Child::Task(tg.try_spawn(child))),
                Some(Group::Local(tg)) => Some(Child::Local(tg.try_spawn(child))),
                None => None,
            };
            match handle.filter(|handle| !handle.is_finished()) {
                Some(handle) => {
                    lock(&world.children).insert(id, handle);
                    tell("spawned");
                }
                None => tell("refused"),
            }
        }
        Op::Start { group, body } => {
            let Some(Group::Tasks(tg)) = world.group(*group) else {
                tell("refused");
                return Ok(());
            };
            let shared = world.clone();
            let started =
                tg.try_start(move |ready| child(shared, body, id, Place::new(format!("t{id}"), Some(ready))));
            match started.await {
                Ok((value, _)) => tell(&format!("started with {value}")),
                Err(error) => match error.downcast_ref::<NotReady>() {
                    Some(not_ready) if not_ready.is_not_started() => tell("refused"),
                    Some(_) => return Err(Fault::One(format!("unready{id}"))),
                    None => return Err(Fault::from_error(&*error)),
                },
            }
        }
        Op::Started => {
            let ready = lock(&place.ready).take();
            if let Some(ready) = ready {
                ready.started(id);
            }
        }
        Op::Join { branches: [a, b] } => {
            let (a, b) = anyrt::join(branch(a, 0), branch(b, 1)).await;
            a.and(b)?;
            tell("joined");
        }
        Op::Race { branches: [a, b] } => {
            let (winner, ended) = match anyrt::race(branch(a, 0), branch(b, 1)).await {
                Either::Left(ended) => (0, ended),
                Either::Right(ended) => (1, ended),
            };
            tell(&format!("won by {winner}"));
            ended?;
        }
        Op::Act { acts } => acts.iter().for_each(|act| {
            if let Some(told) = do_act(world, id, act) {
                tell(&told);
            }
        }),
        Op::Wait { event } => {
            world.events[*event].wait().await;
            tell("happened");
        }
        Op::Ended { child } => {
            let handle = lock(&world.children).remove(child);
            match handle {
                None => tell("nobody"),
                Some(handle) => match handle.ended().await {
                    Ok(()) => tell("it has ended"),
                    Err(ended) if ended.is_failed() => tell("it has failed"),
                    Err(ended) if ended.is_cancelled() => tell("it was cancelled"),
                    Err(ended) => tell(&ended.to_string()),
                },
            }
        }
        Op::Lock { lock, body } => {
            let _guard = world.locks[*lock].lock().await;
            tell("locked");
            inside(body).await?;
        }
        Op::Semaphore { semaphore, body } => {
            let _permit = world.semaphores[*semaphore].acquire().await;
            tell("acquired");
            inside(body).await?;
        }
        Op::Limiter { limiter, body } => {
            let _token = world.limiters[*limiter].acquire().await;
            tell("borrowed");
            inside(body).await?;
        }
        Op::Send { channel } => match world.channels[*channel].0.send(id).await {
            Ok(()) => tell("sent"),
            Err(SendError::Closed(_)) => tell("closed"),
            Err(SendError::Broken(_)) => tell("broken"),
        },
        Op::Receive { channel } => match world.channels[*channel].1.recv().await {
            Ok(item) => tell(&format!("received {item}")),
            Err(RecvError::Closed) => tell("closed"),
            Err(RecvError::EndOfStream) => tell("end"),
        },
        Op::Await { condition, body } => {
            let condition = &world.conditions[*condition];
            let mut guard = condition.lock().lock().await;
            tell("locked");
            condition.wait(&mut guard).await;
            tell("notified");
            inside(body).await?;
        }
        Op::Notify { condition, number } => {
            let condition = &world.conditions[*condition];
            let guard = condition.lock().lock().await;
            condition.notify_many(&guard, *number);
            tell("notifies");
        }
    }
    Ok(())
}

async fn in_scope(world: &World, place: &Place, id: u64, number: usize, body: Boxed<Ended>) -> Ended {
    let scope = lock(&world.scopes[number]).take();
    let Some(mut scope) = scope else { return Err(Fault::One(format!("scope {number} again"))) };
    if let Some(limit) = world.program.scopes[number].limit {
        let deadline = world.clock.at(world.tick_of(limit));
        let sooner = world.handles[number].deadline().is_none_or(|set| deadline < set);
        if sooner {
            scope = scope.deadline(deadline);
        }
    }
    match scope.run(async |_| body.await).await {
        Ok(ended) => {
            ended?;
            world.tell(place, id, "finished");
        }
        Err(cancelled) => {
            let why = cancelled.reason().map_or_else(|| format!("{:?}", cancelled.cause()), str::to_owned);
            world.tell(place, id, format!("cut: {why}"));
        }
    }
    Ok(())
}

/// A group that was cancelled by itself is no fault: its host goes on.
fn end_group(world: &World, place: &Place, id: u64, ended: Result<(), GroupError>) -> Ended {
    match ended {
        Ok(()) => world.tell(place, id, "finished"),
        Err(error) if error.is_cancelled() => world.tell(place, id, "cut"),
        Err(error) => {
            let fault = Fault::of(&error);
            world.tell_fault(place, id, "failed", Some(fault.clone()));
            return Err(fault);
        }
    }
    Ok(())
}

async fn child(world: Arc<World>, body: &'static [Statement], id: u64, place: Place) -> Result<(), BoxError> {
    let ended = block(world.clone(), body, place.clone()).await;
    match &ended {
        Ok(()) => world.tell(&place, id, "ends"),
        Err(fault) => world.tell_fault(&place, id, "fails", Some(fault.clone())),
    }
    Ok(ended?)
}

fn cancel_group(world: &World, group: usize) {
    match world.group(group) {
        Some(Group::Tasks(tg)) => tg.cancel_with("by name"),
        Some(Group::Local(tg)) => tg.cancel_with("by name"),
        None => (),
    }
}

/// What there is to tell of it.
fn do_act(world: &World, id: u64, act: &Act) -> Option<String> {
    match act {
        Act::CancelScope { scope } => world.handles[*scope].cancel_with(&format!("by {id}")),
        Act::CancelGroup { group } => cancel_group(world, *group),
        Act::CancelChild { child } => {
            if let Some(child) = lock(&world.children).get(child) {
                child.cancel("by its handle");
            }
        }
        Act::Shield { scope, up } => world.handles[*scope].set_shield(*up),
        Act::Deadline { scope, limit } => {
            world.handles[*scope].set_deadline(Some(world.clock.at(world.tick_of(*limit))));
        }
        Act::Expire { scope } => {
            world.handles[*scope].set_deadline(Some(world.clock.at(0)));
        }
        Act::Set { event } => world.events[*event].set(),
        Act::TrySend { channel } => {
            let sent = match world.channels[*channel].0.try_send(id) {
                Ok(()) => "sent",
                Err(TrySendError::WouldBlock(_)) => "full",
                Err(TrySendError::Closed(_)) => "closed",
                Err(TrySendError::Broken(_)) => "broken",
            };
            return Some(sent.to_owned());
        }
        Act::TryReceive { channel } => {
            return Some(match world.channels[*channel].1.try_recv() {
                Ok(item) => format!("received {item}"),
                Err(TryRecvError::WouldBlock(_)) => "empty".to_owned(),
                Err(TryRecvError::Closed) => "closed".to_owned(),
                Err(TryRecvError::EndOfStream) => "end".to_owned(),
            });
        }
        Act::CloseSender { channel } => world.channels[*channel].0.close(),
        Act::CloseReceiver { channel } => world.channels[*channel].1.close(),
        Act::Total { limiter, total } => world.limiters[*limiter].set_total(*total),
        Act::Look => {
            return Some(match anyrt::current_deadline() {
                EffectiveDeadline::None => "deadline inf".to_owned(),
                EffectiveDeadline::Cancelled => "deadline -inf".to_owned(),
                EffectiveDeadline::At(at) => format!("deadline {}", world.clock.tick_of(at)),
                other => format!("deadline {other:?}"),
            });
        }
        Act::Called { scope } => {
            return Some(format!("called {}", world.handles[*scope].cancel_called()));
        }
    }
    None
}
