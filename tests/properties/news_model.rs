//! Channels whose items go to all, or are one, against naive models: random histories of who sends, receives, is
//! polled, cancelled, shielded and dropped at each moment, and of ends that come and go.

mod naive;

use anyrt_core::channel::{self, RecvError, broadcast, oneshot, watch};

use self::naive::Heard;
use crate::cases;
use crate::meeting::{Both, check, polled, steps};
use crate::waiter::{Seen, Waiter};

/// The real side of a channel: its ends, those that are not lent to somebody who waits.
struct Ends<S, R> {
    senders: Vec<S>,
    receivers: Vec<(usize, R)>,
}

impl<S, R> Ends<S, R> {
    fn of(sender: S, receiver: R) -> Ends<S, R> {
        Ends { senders: vec![sender], receivers: vec![(0, receiver)] }
    }
}

#[test]
fn a_broadcast_does_what_the_model_does() {
    struct Broadcasts {
        ends: Ends<channel::broadcast::Sender<usize>, channel::broadcast::Receiver<usize>>,
        naive: naive::Broadcast,
    }

    fn heard(got: Result<usize, channel::broadcast::RecvError>) -> Heard {
        match got {
            Ok(item) => Heard::Item(item),
            Err(channel::broadcast::RecvError::Lagged(missed)) => Heard::Lagged(missed),
            Err(_) => Heard::End,
        }
    }

    impl Both for Broadcasts {
        type Model = naive::Broadcast;
        type Got =
            (channel::broadcast::Receiver<usize>, Option<Result<usize, channel::broadcast::RecvError>>);

        fn wait(&mut self, id: usize) -> Option<Waiter<Self::Got>> {
            let (of, receiver) = self.ends.receivers.pop()?;
            let (waiter, seen) =
                polled(Waiter::<Self::Got>::lending(receiver, async |receiver| receiver.recv().await));
            let expected = self.naive.ask(id, of);
            match seen {
                Seen::Ready(got) => {
                    assert_eq!(Some(self.see(id, got)), expected.map(Some));
                    None
                }
                _ => {
                    assert_eq!(expected, None);
                    Some(waiter)
                }
            }
        }

        fn see(&mut self, id: usize, (receiver, got): Self::Got) -> Option<Heard> {
            self.ends.receivers.insert(0, (self.naive.receiver_of(id), receiver));
            got.map(heard)
        }

        fn model(&mut self) -> &mut Self::Model {
            &mut self.naive
        }

        fn special(&mut self, what: usize, number: usize) {
            let Some(sender) = self.ends.senders.first() else { return };
            match what % 12 {
                0 => self.ends.receivers.push((self.naive.subscribe(), sender.subscribe())),
                1 => {
                    if let Some((of, receiver)) = self.ends.receivers.first() {
                        let clone = (self.naive.clone_receiver(*of), receiver.clone());
                        self.ends.receivers.push(clone);
                    }
                }
                2 => {
                    if let Some((of, receiver)) = self.ends.receivers.pop() {
                        drop(receiver);
                        self.naive.drop_receiver(of);
                    }
                }
                3 if number.is_multiple_of(4) => {
                    self.ends.senders.pop();
                    self.naive.senders = self.ends.senders.len();
                    if self.naive.senders == 0 {
                        self.naive.waiters.wake();
                    }
                }
                3 => {
                    let clone = sender.clone();
                    self.ends.senders.push(clone);
                    self.naive.senders += 1;
                }
                4 | 5 => {
                    if let Some((of, receiver)) = self.ends.receivers.first_mut() {
                        let got = match receiver.try_recv() {
                            Ok(item) => Some(Heard::Item(item)),
                            Err(channel::broadcast::TryRecvError::Lagged(missed)) => {
                                Some(Heard::Lagged(missed))
                            }
                            Err(channel::broadcast::TryRecvError::EndOfStream) => Some(Heard::End),
                            Err(_) => None,
                        };
                        assert_eq!(got, self.naive.take(*of));
                    }
                }
                _ => assert_eq!(sender.send(number).ok(), self.naive.send(number)),
            }
        }

        fn compare(&mut self) {
            for (of, receiver) in &self.ends.receivers {
                assert_eq!(receiver.len(), self.naive.unseen(*of));
            }
            if let Some(sender) = self.ends.senders.first() {
                let real = sender.statistics();
                let real = [real.buffered, real.senders, real.receivers, real.waiting_receivers];
                assert_eq!(real, self.naive.statistics());
            }
        }
    }

    let capacities = 1..4_usize;
    cases::each(&(capacities, steps()), |(capacity, steps)| {
        let (sender, receiver) = broadcast(capacity);
        check(Broadcasts { ends: Ends::of(sender, receiver), naive: naive::Broadcast::new(capacity) }, steps);
    });
}

#[test]
fn a_watch_does_what_the_model_does() {
    struct Watches {
        ends: Ends<channel::watch::Sender<usize>, channel::watch::Receiver<usize>>,
        naive: naive::Watch,
    }

    impl Both for Watches {
        type Model = naive::Watch;
        type Got = (channel::watch::Receiver<usize>, Option<Heard>);

        /// Every other waits for an even number.
        fn wait(&mut self, id: usize) -> Option<Waiter<Self::Got>> {
            let (of, receiver) = self.ends.receivers.pop()?;
            let even = id.is_multiple_of(2);
            let wait = async move |receiver: &mut channel::watch::Receiver<usize>| {
                let got = if even {
                    receiver.wait_for(|value| value.is_multiple_of(2)).await
                } else {
                    receiver.changed().await
                };
                got.map_or(Heard::End, |value| Heard::Item(*value))
            };
            let (waiter, seen) = polled(Waiter::<Self::Got>::lending(receiver, wait));
            let expected = self.naive.ask(id, of, even);
            match seen {
                Seen::Ready(got) => {
                    assert_eq!(Some(self.see(id, got)), expected.map(Some));
                    None
                }
                _ => {
                    assert_eq!(expected, None);
                    Some(waiter)
                }
            }
        }

        fn see(&mut self, id: usize, (receiver, got): Self::Got) -> Option<Heard> {
            self.ends.receivers.insert(0, (self.naive.receiver_of(id), receiver));
            got
        }

        fn model(&mut self) -> &mut Self::Model {
            &mut self.naive
        }

        fn special(&mut self, what: usize, number: usize) {
            let Some(sender) = self.ends.senders.first() else { return };
            match what % 8 {
                0 => self.ends.receivers.push((self.naive.subscribe(), sender.subscribe())),
                1 => {
                    if let Some((of, receiver)) = self.ends.receivers.pop() {
                        drop(receiver);
                        self.naive.drop_receiver(of);
                    }
                }
                2 if number.is_multiple_of(4) => {
                    self.ends.senders.pop();
                    self.naive.senders = self.ends.senders.len();
                    if self.naive.senders == 0 {
                        self.naive.waiters.wake();
                    }
                }
                2 => {
                    let clone = sender.clone();
                    self.ends.senders.push(clone);
                    self.naive.senders += 1;
                }
                3 => {
                    let old = sender.update(|value| value.wrapping_add(1));
                    assert_eq!(*old, self.naive.send(old.wrapping_add(1)));
                }
                _ => assert_eq!(*sender.send(number), self.naive.send(number)),
            }
        }

        fn compare(&mut self) {
            for (of, receiver) in &self.ends.receivers {
                assert_eq!((*receiver.get(), receiver.has_changed()), self.naive.look(*of));
            }
            if let Some(sender) = self.ends.senders.first() {
                assert_eq!((sender.receivers(), sender.waiting()), self.naive.statistics());
            }
        }
    }

    cases::each(&steps(), |steps| {
        let (sender, receiver) = watch(1);
        check(Watches { ends: Ends::of(sender, receiver), naive: naive::Watch::new(1) }, steps);
    });
}

#[test]
fn a_oneshot_does_what_the_model_does() {
    struct Oneshots {
        sender: Option<channel::oneshot::Sender<usize>>,
        receiver: Option<channel::oneshot::Receiver<usize>>,
        naive: naive::Oneshot,
    }

    impl Both for Oneshots {
        type Model = naive::Oneshot;
        type Got = (channel::oneshot::Receiver<usize>, Option<Result<usize, RecvError>>);

        fn wait(&mut self, id: usize) -> Option<Waiter<Self::Got>> {
            let receiver = self.receiver.take()?;
            let (waiter, seen) =
                polled(Waiter::<Self::Got>::lending(receiver, async |receiver| receiver.recv().await));
            let expected = self.naive.ask(id);
            match seen {
                Seen::Ready(got) => {
                    assert_eq!(Some(self.see(id, got)), expected.map(Some));
                    None
                }
                _ => {
                    assert_eq!(expected, None);
                    Some(waiter)
                }
            }
        }

        fn see(&mut self, _: usize, (receiver, got): Self::Got) -> Option<Heard> {
            self.receiver = Some(receiver);
            got.map(|got| match got {
                Ok(item) => Heard::Item(item),
                Err(RecvError::EndOfStream) => Heard::End,
                Err(RecvError::Closed) => Heard::Closed,
            })
        }

        fn model(&mut self) -> &mut Self::Model {
            &mut self.naive
        }

        fn special(&mut self, what: usize, number: usize) {
            match what % 6 {
                0 => {
                    if let Some(sender) = self.sender.take() {
                        assert_eq!(sender.send(number).is_ok(), self.naive.send(number));
                    }
                }
                1 if number.is_multiple_of(3) && self.sender.take().is_some() => {
                    self.naive.has_sender = false;
                    self.naive.waiters.wake();
                }
                2 if number.is_multiple_of(3) => {
                    if let Some(receiver) = &mut self.receiver {
                        receiver.close();
                        self.naive.has_receiver = false;
                    }
                }
                _ => (),
            }
        }

        fn compare(&mut self) {
            if let Some(sender) = &self.sender {
                assert_eq!(sender.is_closed(), !self.naive.has_receiver);
            }
        }
    }

    cases::each(&steps(), |steps| {
        let (sender, receiver) = oneshot();
        check(
            Oneshots { sender: Some(sender), receiver: Some(receiver), naive: naive::Oneshot::new() },
            steps,
        );
    });
}
