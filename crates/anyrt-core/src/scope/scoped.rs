//! The one rule of cancellation, as a future: every construct that can be cancelled is one of these.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::base::clock;
use crate::current::context::{self, Place};
use crate::current::handle::Handle;
use crate::current::runtime::Timer;
use crate::tree::lazy::Lazy;
use crate::tree::site::{self, Before, Called};
use crate::tree::{self, Attended, Cancelled, Due, NEVER, NodeRef, Verdict};

/// How the inner future came to its end.
#[derive(Debug)]
pub(crate) enum Ending<T> {
    Value(T),
    /// It was dropped when it was pending in a cancelled scope.
    Cancelled(Cancelled),
}

/// Who resolves when the cancellation comes from around this scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outer {
    /// The outermost scope; this one stays pending and is dropped by it.
    Returns,
    /// This one too: it is a drop point of a construct that goes on.
    EndsHere,
}

pin_project! {
    /// A future with a place in the scope tree.
    pub(crate) struct Scoped<F> {
        seat: Seat,
        #[pin]
        inner: Option<F>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            if !this.seat.ended {
                this.cut_off();
            }
        }
    }
}

impl<F> Scoped<F> {
    /// Dropped by somebody before its end.
    #[inline(never)]
    pub(crate) fn cut_off(self: Pin<&mut Self>) {
        let mut this = self.project();
        let panicked = if this.inner.is_some() {
            let drop_it = || context::inside(&mut this.seat.place, || this.inner.set(None));
            catch_unwind(AssertUnwindSafe(drop_it)).err()
        } else {
            None
        };
        this.seat.end();
        if let Some(payload) = panicked
            && !std::thread::panicking()
        {
            resume_unwind(payload);
        }
    }

    pub(crate) fn seat(self: Pin<&mut Self>) -> &mut Seat {
        self.project().seat
    }

    /// Whether it was pending, or asked for, and has not ended.
    pub(crate) fn is_linked_and_running(&self) -> bool {
        matches!(self.seat.place, Place::Linked(_)) && self.inner.is_some()
    }

    /// Where it was opened.
    pub(crate) fn opened(&self) -> Option<Called> {
        match &self.seat.place {
            Place::Lazy(lazy) => lazy.opened,
            Place::Linked(node) => node.node().opened(),
        }
    }
}

impl<F: Future> Scoped<F> {
    pub(crate) fn new(lazy: Lazy, inner: F) -> Self {
        Scoped { seat: Seat::new(Place::Lazy(lazy)), inner: Some(inner) }
    }

    /// With a node that exists already, because somebody holds a handle to it.
    pub(crate) fn at(node: NodeRef, inner: F) -> Self {
        Scoped { seat: Seat::new(Place::Linked(node)), inner: Some(inner) }
    }

    /// Takes the future and its place out again, for builder methods that are called before the first poll.
    pub(crate) fn take_unpolled(&mut self) -> (Lazy, F) {
        self.assert_unpolled();
        match (&self.seat.place, self.inner.take()) {
            (Place::Lazy(lazy), Some(inner)) => (*lazy, inner),
            _ => unreachable!("it is not polled"),
        }
    }

    pub(crate) fn assert_unpolled(&self) {
        assert!(
            matches!(self.seat.place, Place::Lazy(_)) && self.inner.is_some(),
            "`within` and `owned` are said before the first poll"
        );
    }

    /// Drops the inner future with its scope current. Its destructors may panic.
    pub(crate) fn drop_inner(self: Pin<&mut Self>) {
        let mut this = self.project();
        if this.inner.is_some() {
            context::inside(&mut this.seat.place, || this.inner.set(None));
        }
    }

    /// Polls by the rule. When it is ready the inner future is gone; the node is not ended yet.
    #[inline]
    pub(crate) fn poll_scoped(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        outer: Outer,
    ) -> Poll<Ending<F::Output>> {
        self.poll_then(cx, outer, |_| ())
    }

    /// As [`poll_scoped`](Scoped::poll_scoped), and ends the node when it is ready.
    #[inline]
    pub(crate) fn poll_to_end(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        outer: Outer,
    ) -> Poll<Ending<F::Output>> {
        self.poll_then(cx, outer, Seat::end)
    }

    /// `end`: done when it is ready, before the value is put where it is returned: it is not copied once more.
    #[inline]
    fn poll_then(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        outer: Outer,
        end: impl FnOnce(&mut Seat),
    ) -> Poll<Ending<F::Output>> {
        let mut this = self.as_mut().project();
        this.seat.settle();
        let before = site::begin();
        if let Some(inner) = this.inner.as_mut().as_pin_mut() {
            if let Poll::Ready(value) = context::inside(&mut this.seat.place, || inner.poll(cx)) {
                site::end(before);
                this.inner.set(None);
                end(this.seat);
                return Poll::Ready(Ending::Value(value));
            }
        } else {
            assert!(!this.seat.ended, "a future was polled again after it was ready");
        }
        let polled = self.as_mut().was_pending(cx, outer, before);
        if polled.is_ready() {
            end(self.seat());
        }
        polled
    }

    /// Apart, so that the frames of scopes that nest stay small.
    #[inline(never)]
    fn was_pending(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        outer: Outer,
        before: Before,
    ) -> Poll<Ending<F::Output>> {
        let mut this = self.project();
        let verdict = this.seat.verdict(cx.waker(), outer, this.inner.is_none());
        site::end_pending(before);
        match verdict {
            Verdict::Stay => Poll::Pending,
            Verdict::Drop => {
                context::inside(&mut this.seat.place, || this.inner.set(None));
                Poll::Pending
            }
            Verdict::Resolve(cut) => {
                let cause = cut.story(this.seat.place.node().node());
                context::inside(&mut this.seat.place, || this.inner.set(None));
                Poll::Ready(Ending::Cancelled(cause))
            }
        }
    }
}

/// A place in the scope tree, kept by the future that owns it, and the timer of its deadline.
pub(crate) struct Seat {
    pub(crate) place: Place,
    timers: Timers,
    ended: bool,
}

/// The timers of a place. In one field, because most have none and are dropped quickly.
enum Timers {
    None,
    /// That of its deadline.
    Deadline(Armed),
    /// The same, if there is one, and the watch over a hold that keeps a cancelled scope.
    Held(Box<Late>),
}

struct Late {
    deadline: Option<Armed>,
    after: Duration,
    /// None when it has told.
    timer: Option<Pin<Box<dyn Timer>>>,
}

struct Armed {
    deadline: u64,
    timer: Pin<Box<dyn Timer>>,
}

impl Timers {
    fn deadline(&mut self) -> Option<&mut Armed> {
        match self {
            Timers::None => None,
            Timers::Deadline(armed) => Some(armed),
            Timers::Held(late) => late.deadline.as_mut(),
        }
    }

    /// Another timer of the deadline, or none.
    fn set_deadline(&mut self, armed: Option<Armed>) {
        match self {
            Timers::Held(late) => late.deadline = armed,
            timers => *timers = armed.map_or(Timers::None, Timers::Deadline),
        }
    }
}

impl Armed {
    /// Whether the deadline has passed; if not, the node hears of it when it does.
    fn poll(&mut self, node: &NodeRef) -> bool {
        let waker = node.clone().timer_waker();
        self.timer.as_mut().poll_elapsed(&mut Context::from_waker(&waker)).is_ready()
    }
}

impl Seat {
    pub(crate) fn new(place: Place) -> Seat {
        Seat { place, timers: Timers::None, ended: false }
    }

    /// Before a poll: moves the node below the scope that it is polled in, and looks at its timer.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if let Place::Linked(_) = &self.place {
            self.settle_linked();
        }
    }

    fn settle_linked(&mut self) {
        let node = self.place.node();
        settle(node);
        if node.node().begin_poll()
            && let Ok(handle) = Handle::try_current()
        {
            tree::begin_grace(node, handle.now());
        }
        if let Some(armed) = self.timers.deadline()
            && node.node().take_timer_fired()
        {
            // Whether it has passed is asked after the poll, when those inside have looked: an earlier deadline of
            // theirs goes first. This waits on, if the timer was early.
            armed.poll(node);
        }
    }

    /// After a poll that was pending: what to do now.
    pub(crate) fn verdict(&mut self, waker: &Waker, outer: Outer, gone: bool) -> Verdict {
        self.wait(waker, true);
        let verdict = self.place.node().node().verdict(waker, outer == Outer::EndsHere, gone);
        if matches!(verdict, Verdict::Stay) {
            self.watch_hold(waker);
        }
        verdict
    }

    /// Tells, once, when a cancelled scope is kept for long: by a hold that was begun and is not
    /// polled any more, perhaps, which nothing can cure.
    pub(crate) fn watch_hold(&mut self, waker: &Waker) {
        let node = self.place.node();
        if !node.node().is_cancelled() {
            return;
        }
        if !matches!(self.timers, Timers::Held(_)) {
            let Ok(handle) = Handle::try_current() else { return };
            let (after, now) = (handle.0.shared.held_warning, handle.now());
            node.node().note_held(clock::to_u64(now));
            let timer = now.checked_add(after).map(|at| handle.runtime().timer(at));
            let deadline = match std::mem::replace(&mut self.timers, Timers::None) {
                Timers::Deadline(armed) => Some(armed),
                _ => None,
            };
            self.timers = Timers::Held(Box::new(Late { deadline, after, timer }));
        }
        let Timers::Held(late) = &mut self.timers else { return };
        if let Some(timer) = &mut late.timer
            && timer.as_mut().poll_elapsed(&mut Context::from_waker(waker)).is_ready()
        {
            late.timer = None;
            let cause = node.node().cause().map(|cause| cause.to_string());
            tracing::warn!(
                target: "anyrt::held",
                cause,
                after = ?late.after,
                by = tree::holders(node),
                "a cancelled scope is still held: what holds it may not be polled any more"
            );
        }
    }

    /// Waits for what may happen to the node, where no cancellation cuts short what is waited for: the end of
    /// children.
    pub(crate) fn attend(&mut self, waker: &Waker) {
        self.wait(waker, false);
    }

    /// Waits for what may happen to the node: a cancellation, its deadline.
    fn wait(&mut self, waker: &Waker, cut: bool) {
        let Attended { due, fired } = match self.place {
            Place::Lazy(lazy) => {
                self.place = Place::Linked(context::link_here(lazy, Some(waker)));
                Attended { due: lazy.deadline, fired: false }
            }
            Place::Linked(ref node) => node.node().attend(waker, cut),
        };
        if due != NEVER || self.timers.deadline().is_some() {
            self.arm(due, fired, waker);
        }
    }

    /// Before the first poll: the time that is left counts from now.
    pub(crate) fn limit(&mut self, after: Duration) {
        if let Place::Lazy(lazy) = &mut self.place {
            let opened = lazy.opened.unwrap_or_else(std::panic::Location::caller);
            lazy.deadline = clock::add(context::now_for(opened), after);
            lazy.after = u64::try_from(after.as_nanos()).unwrap_or(0);
        }
    }

    /// The node; in the tree from now on.
    pub(crate) fn link(&mut self) -> &NodeRef {
        if let Place::Lazy(lazy) = self.place {
            self.place = Place::Linked(context::link_here(lazy, None));
        }
        self.place.node()
    }

    /// The node goes on without this future: somebody else ends it.
    pub(crate) fn give_up(&mut self) {
        self.timers = Timers::None;
        self.place = Place::Lazy(Lazy::NOWHERE);
    }

    #[inline]
    pub(crate) fn end(&mut self) {
        if !matches!(self.timers, Timers::None) {
            self.timers = Timers::None;
        }
        self.ended = true;
        if let Place::Linked(node) = &self.place {
            tree::end(node.node());
        }
    }

    /// Cancels when the deadline has passed; else sets the timer to it, which may have been moved meanwhile.
    ///
    /// The clock is read after each pending poll: what is awaited may be no leaf that looks, and the timer may be
    /// late. The waker was left before, so a timer that fires meanwhile finds it. `fired`: it has, and found none.
    fn arm(&mut self, deadline: u64, fired: bool, waker: &Waker) {
        let node = self.place.node();
        if deadline != NEVER && !node.node().is_cancelled() && context::is_past(deadline) {
            if tree::come_due(node) == Due::AfterThoseInside {
                waker.wake_by_ref();
            }
            return;
        }
        // Of one that is cancelled from outside as well: taken out or shielded off, it comes here again.
        if node.node().is_cancelled()
            || !fired && self.timers.deadline().is_some_and(|armed| armed.deadline == deadline)
        {
            return;
        }
        let Some(instant) = clock::to_instant(deadline) else {
            self.timers.set_deadline(None);
            return;
        };
        let opened = node.node().opened();
        let handle = Handle::current_for(opened.unwrap_or_else(std::panic::Location::caller));
        match self.timers.deadline() {
            Some(armed) if armed.deadline == deadline => (),
            Some(armed) => {
                armed.timer.as_mut().reset(instant);
                armed.deadline = deadline;
            }
            None => {
                self.timers.set_deadline(Some(Armed { deadline, timer: handle.runtime().timer(instant) }));
            }
        }
        if self.timers.deadline().is_some_and(|armed| armed.poll(node)) {
            // It has come meanwhile.
            waker.wake_by_ref();
        }
    }
}

/// Moves a node below the scope that its future is polled in: a future may be handed on.
pub(crate) fn settle(node: &NodeRef) {
    if context::is_top(node.node().parent_address()) {
        return;
    }
    let parent = context::top();
    if parent.as_ref().map_or(0, |parent| parent.node().address()) == node.node().parent_address() {
        return;
    }
    if node.node().parent_address() != 0 {
        tree::unlink(node);
    }
    if let Some(parent) = parent {
        tree::link(node, parent);
    } else {
        tree::orphaned(node);
    }
}
