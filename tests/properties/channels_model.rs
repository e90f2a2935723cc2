//! Channels against a naive model: random histories of who sends, reserves, receives, is polled, cancelled,
//! shielded and dropped at each moment, and of ends that are cloned, closed and dropped.

mod naive;

use anyrt_core::WouldBlock;
use anyrt_core::channel::{
    ChannelStatistics, Receiver, RecvError, SendError, SendPermit, Sender, TryRecvError, TrySendError,
    bounded,
};
use proptest::prelude::*;

use self::naive::{Naive, Told, Want};
use crate::cases;
use crate::waiter::{Seen, Waiter};

#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    TrySend(usize),
    Reserve(usize),
    TryReserve(usize),
    UsePermit(usize),
    DropPermit(usize),
    Recv(usize),
    TryRecv(usize),
    Poll(usize),
    Cancel(usize),
    Shield(usize, bool),
    Drop(usize),
    CloneSender(usize),
    CloneReceiver(usize),
    CloseSender(usize),
    CloseReceiver(usize),
    DropSender(usize),
    DropReceiver(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = || any::<usize>();
    let step = prop_oneof![
        6 => any().prop_map(Step::Send),
        2 => any().prop_map(Step::TrySend),
        2 => any().prop_map(Step::Reserve),
        1 => any().prop_map(Step::TryReserve),
        2 => any().prop_map(Step::UsePermit),
        1 => any().prop_map(Step::DropPermit),
        6 => any().prop_map(Step::Recv),
        2 => any().prop_map(Step::TryRecv),
        9 => any().prop_map(Step::Poll),
        3 => any().prop_map(Step::Cancel),
        2 => (any(), proptest::bool::ANY).prop_map(|(who, up)| Step::Shield(who, up)),
        3 => any().prop_map(Step::Drop),
        1 => prop_oneof![
            any().prop_map(Step::CloneSender),
            any().prop_map(Step::CloneReceiver),
            any().prop_map(Step::CloseSender),
            any().prop_map(Step::CloseReceiver),
            any().prop_map(Step::DropSender),
            any().prop_map(Step::DropReceiver),
        ],
    ];
    proptest::collection::vec(step, 0..50)
}

#[test]
fn a_channel_does_what_the_model_does() {
    let capacities = prop_oneof![2 => Just(0), 2 => Just(1), 2 => 2..4_usize, 1 => Just(usize::MAX)];
    cases::each(&(capacities, steps()), |(capacity, steps)| {
        let mut both = Both::new(capacity);
        for (id, step) in steps.into_iter().enumerate() {
            both.step(id, step);
            both.compare();
        }
        both.end();
    });
}

/// What a future of the channel is ready with.
enum Answer {
    Sent(Result<(), SendError<usize>>),
    Reserved(Result<SendPermit<usize>, SendError<()>>),
    Received(Result<usize, RecvError>),
}

/// The channel and its model.
struct Both {
    naive: Naive,
    senders: Vec<(usize, Sender<usize>)>,
    receivers: Vec<(usize, Receiver<usize>)>,
    waiters: Vec<(usize, Waiter<Answer>)>,
    permits: Vec<(usize, SendPermit<usize>)>,
}

/// One of them, if there is any.
fn pick<T>(of: &[T], which: usize) -> Option<usize> {
    (!of.is_empty()).then(|| which % of.len())
}

impl Both {
    fn new(capacity: usize) -> Both {
        let (sender, receiver) = bounded(capacity);
        Both {
            naive: Naive::new(capacity),
            senders: vec![(Naive::FIRST_SENDER, sender)],
            receivers: vec![(Naive::FIRST_RECEIVER, receiver)],
            waiters: Vec::new(),
            permits: Vec::new(),
        }
    }

    /// The number of the step is the item that it sends, and the name of whom it makes.
    fn step(&mut self, id: usize, step: Step) {
        let _ = self.try_step(id, step);
    }

    fn try_step(&mut self, id: usize, step: Step) -> Option<()> {
        match step {
            Step::Send(which) => {
                let (end, sender) = &self.senders[pick(&self.senders, which)?];
                let sending = sender.send(id);
                let waiter = Waiter::new(async move { Answer::Sent(sending.await) });
                self.begin(id, *end, waiter, Want::send(id, *end));
            }
            Step::Reserve(which) => {
                let (end, sender) = &self.senders[pick(&self.senders, which)?];
                let reserving = sender.reserve();
                let waiter = Waiter::new(async move { Answer::Reserved(reserving.await) });
                self.begin(id, *end, waiter, Want::reserve(*end));
            }
            Step::Recv(which) => {
                let (end, receiver) = &self.receivers[pick(&self.receivers, which)?];
                let receiving = receiver.recv();
                let waiter = Waiter::new(async move { Answer::Received(receiving.await) });
                self.begin(id, *end, waiter, Want::recv(*end));
            }
            Step::TrySend(which) => {
                let (end, sender) = &self.senders[pick(&self.senders, which)?];
                let told = match sender.try_send(id) {
                    Ok(()) => Some(Told::Sent),
                    Err(error) => {
                        assert_eq!(error.into_inner(), id, "the item comes back");
                        told_of_try(error)
                    }
                };
                assert_eq!(told, self.naive.try_send(*end, id));
            }
            Step::TryReserve(which) => {
                let (end, sender) = &self.senders[pick(&self.senders, which)?];
                let told = match sender.try_reserve() {
                    Ok(permit) => {
                        self.permits.push((*end, permit));
                        Some(Told::Admitted)
                    }
                    Err(error) => told_of_try(error),
                };
                assert_eq!(told, self.naive.try_reserve(*end));
            }
            Step::TryRecv(which) => {
                let (end, receiver) = &self.receivers[pick(&self.receivers, which)?];
                let told = match receiver.try_recv() {
                    Ok(item) => Some(Told::Item(item)),
                    Err(TryRecvError::WouldBlock(WouldBlock)) => None,
                    Err(TryRecvError::Closed) => Some(Told::Closed),
                    Err(TryRecvError::EndOfStream) => Some(Told::EndOfStream),
                };
                assert_eq!(told, self.naive.try_recv(*end));
            }
            Step::UsePermit(which) => {
                let (end, permit) = self.permits.swap_remove(pick(&self.permits, which)?);
                let told = match permit.send(id) {
                    Ok(()) => Told::Sent,
                    Err(SendError::Closed(_)) => Told::Closed,
                    Err(SendError::Broken(_)) => Told::Broken,
                };
                assert_eq!(told, self.naive.use_permit(end, id));
            }
            Step::DropPermit(which) => {
                let (end, permit) = self.permits.swap_remove(pick(&self.permits, which)?);
                drop(permit);
                self.naive.drop_permit(end);
            }
            Step::Poll(which) => {
                let at = pick(&self.waiters, which)?;
                let (id, waiter) = &mut self.waiters[at];
                let (id, seen, expected) = (*id, waiter.poll(), self.naive.poll(*id));
                let end = self.naive.end_of(id);
                let told = match seen {
                    Seen::Pending => Seen::Pending,
                    Seen::Cancelled => Seen::Cancelled,
                    Seen::Ready(answer) => Seen::Ready(self.told(end, answer)),
                };
                assert_eq!(told, expected, "what a poll shows");
                if told != Seen::Pending {
                    drop(self.waiters.swap_remove(at));
                    self.naive.gone(id);
                }
            }
            Step::Cancel(which) => {
                let (id, waiter) = &self.waiters[pick(&self.waiters, which)?];
                waiter.cancel();
                self.naive.line.cancel(*id);
            }
            Step::Shield(which, up) => {
                let (id, waiter) = &self.waiters[pick(&self.waiters, which)?];
                waiter.set_shield(up);
                self.naive.line.shield(*id, up);
            }
            Step::Drop(which) => {
                let (id, waiter) = self.waiters.swap_remove(pick(&self.waiters, which)?);
                drop(waiter);
                self.naive.leave(id);
            }
            Step::CloneSender(which) => {
                let (end, sender) = &self.senders[pick(&self.senders, which)?];
                let clone = (self.naive.clone_end(*end), sender.clone());
                self.senders.push(clone);
            }
            Step::CloneReceiver(which) => {
                let (end, receiver) = &self.receivers[pick(&self.receivers, which)?];
                let clone = (self.naive.clone_end(*end), receiver.clone());
                self.receivers.push(clone);
            }
            Step::CloseSender(which) => {
                let (end, sender) = &self.senders[pick(&self.senders, which)?];
                sender.close();
                self.naive.close(*end);
            }
            Step::CloseReceiver(which) => {
                let (end, receiver) = &self.receivers[pick(&self.receivers, which)?];
                receiver.close();
                self.naive.close(*end);
            }
            Step::DropSender(which) => {
                let (end, sender) = self.senders.swap_remove(pick(&self.senders, which)?);
                drop(sender);
                self.naive.let_go(end);
            }
            Step::DropReceiver(which) => {
                let (end, receiver) = self.receivers.swap_remove(pick(&self.receivers, which)?);
                drop(receiver);
                self.naive.let_go(end);
            }
        }
        Some(())
    }

    /// Polls a new waiter for the first time.
    fn begin(&mut self, id: usize, end: usize, mut waiter: Waiter<Answer>, want: Want) {
        let (seen, expected) = (waiter.poll(), self.naive.ask(id, want));
        match seen {
            Seen::Ready(answer) => {
                let told = self.told(end, answer);
                drop(waiter);
                assert_eq!(Some(told), expected, "what it is told at once");
            }
            _ => {
                assert_eq!(expected, None, "it need not wait");
                self.waiters.push((id, waiter));
            }
        }
    }

    fn told(&mut self, end: usize, answer: Answer) -> Told {
        match answer {
            Answer::Sent(Ok(())) => Told::Sent,
            Answer::Reserved(Ok(permit)) => {
                self.permits.push((end, permit));
                Told::Admitted
            }
            Answer::Received(Ok(item)) => Told::Item(item),
            Answer::Sent(Err(SendError::Closed(_)))
            | Answer::Reserved(Err(SendError::Closed(())))
            | Answer::Received(Err(RecvError::Closed)) => Told::Closed,
            Answer::Sent(Err(SendError::Broken(_))) | Answer::Reserved(Err(SendError::Broken(()))) => {
                Told::Broken
            }
            Answer::Received(Err(RecvError::EndOfStream)) => Told::EndOfStream,
        }
    }

    fn statistics(&self) -> Option<ChannelStatistics> {
        let by_sender = self.senders.first().map(|(_, sender)| sender.statistics());
        by_sender.or_else(|| self.receivers.first().map(|(_, receiver)| receiver.statistics()))
    }

    fn compare(&mut self) {
        if let Some(real) = self.statistics() {
            let real = [
                real.buffered,
                real.reserved,
                real.senders,
                real.receivers,
                real.waiting_senders,
                real.waiting_receivers,
            ];
            assert_eq!(real, self.naive.statistics(), "buffered, reserved, ends, and who waits");
        }
        for (id, waiter) in &self.waiters {
            let asker = self.naive.line.asker(*id);
            assert!(waiter.is_woken() || !asker.has() && !asker.is_cancelled(), "{asker:?} was not woken");
        }
    }

    /// All who wait are gone, and their permits: what is left is as in the model, in the same order.
    fn end(mut self) {
        while !self.waiters.is_empty() {
            self.step(0, Step::Drop(0));
        }
        while !self.permits.is_empty() {
            self.step(0, Step::DropPermit(0));
        }
        self.compare();
        if let Some((end, receiver)) = self.receivers.first() {
            loop {
                let item = receiver.try_recv().ok();
                assert_eq!(item.map(Told::Item), self.naive.try_recv(*end).filter(Told::is_item));
                if item.is_none() {
                    break;
                }
            }
        }
    }
}

fn told_of_try<T>(error: TrySendError<T>) -> Option<Told> {
    match error {
        TrySendError::WouldBlock(_) => None,
        TrySendError::Closed(_) => Some(Told::Closed),
        TrySendError::Broken(_) => Some(Told::Broken),
    }
}
