//! Settings of path operations and providers, written at the function.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::handler::Callable;
use crate::base::lifetime::Lifetime;
use crate::request::on_disconnect::Disconnect;

/// Settings of a path operation or a provider, given where it is named:
///
/// ```
/// use std::time::Duration;
/// use anyrt_http::{App, Configure, Dependency, Lifetime};
///
/// struct Pool;
/// impl Dependency for Pool {}
///
/// async fn connect() -> Pool { Pool }
/// async fn order() -> &'static str { "ordered, also when the client left" }
/// fn version() -> &'static str { "1.0" }
///
/// let app = App::new()
///     .post("/orders", order.detach().deadline(Duration::from_secs(10)))
///     .get("/version", version.inline())
///     .provide(connect.lifetime(Lifetime::App));
/// # drop(app);
/// ```
///
/// It is implemented for every function that can be one; `Args` are its arguments.
pub trait Configure<Args>: Callable<Args> + Sized {
    /// Calls a plain function on the event loop, without a thread: for one that is known not to block.
    fn inline(self) -> Configured<Self> {
        Configured::new(self).with(|settings| settings.inline = true)
    }

    /// A path operation runs to its end although its client has left, unless the server's shutdown has no more time for it.
    /// Without it a path operation is cancelled when its client leaves: see [`Disconnect`].
    fn detach(self) -> Configured<Self> {
        Configured::new(self).with(|settings| settings.leaving = Some(Disconnect::Detach))
    }

    /// As [`detach`](Configure::detach), of a path operation that asks by [`Client`](crate::Client) whether it is still of
    /// use.
    fn notify(self) -> Configured<Self> {
        Configured::new(self).with(|settings| settings.leaving = Some(Disconnect::Notify))
    }

    /// A path operation that takes longer, with its dependencies, is cancelled and answered with 503.
    fn deadline(self, deadline: Duration) -> Configured<Self> {
        Configured::new(self).with(|settings| settings.deadline = Some(deadline))
    }

    /// A name for logs and views, in place of the function's path: most useful for closures.
    fn named(self, name: &'static str) -> Configured<Self> {
        Configured::new(self).with(|settings| settings.name = Some(name))
    }

    /// The lifetime of what a provider makes; [`Lifetime::Request`] by default.
    fn lifetime(self, lifetime: Lifetime) -> Configured<Self> {
        Configured::new(self).with(|settings| settings.lifetime = Some(lifetime))
    }

    /// What a provider makes is dropped wherever its request ends, also on the event loop, although a plain function made
    /// it: for a value whose drop is known not to block. For all values of a type:
    /// [`Dependency::DROPS_ANYWHERE`](crate::Dependency::DROPS_ANYWHERE).
    fn drop_here(self) -> Configured<Self> {
        Configured::new(self).with(|settings| settings.drop_here = true)
    }

    /// At most so many values of a provider exist at the same time. A request waits for its turn, in the order
    /// of arrival and without a thread, after what the provider itself asks for is there; its place is
    /// free when the value has been undone, and, where the pool drops it, dropped.
    ///
    /// Zero is a mistake, found when the app is built.
    fn max_concurrency(self, most: usize) -> Configured<Self> {
        Configured::new(self).with(|settings| settings.most = Some(NonZeroUsize::new(most)))
    }
}

impl<F: Callable<Args>, Args> Configure<Args> for F {}

/// A function with settings; see [`Configure`].
#[derive(Clone)]
pub struct Configured<F> {
    function: F,
    settings: Settings,
}

/// What was set.
#[derive(Debug, Clone, Default)]
#[doc(hidden)]
pub struct Settings {
    pub(crate) inline: bool,
    pub(crate) name: Option<&'static str>,
    pub(crate) leaving: Option<Disconnect>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) drop_here: bool,
    /// `Some(None)` is the mistake of zero.
    pub(crate) most: Option<Option<NonZeroUsize>>,
}

impl<F> Configured<F> {
    fn new(function: F) -> Self {
        Configured { function, settings: Settings::default() }
    }

    fn with(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(&mut self.settings);
        self
    }
}

/// Settings are added to earlier ones; the last of a kind counts.
macro_rules! again {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty)?) $field:ident = $value:expr;)*) => {
        impl<F> Configured<F> {$(
            #[doc = concat!("See [`Configure::", stringify!($name), "`].")]
            pub fn $name(self $(, $argument: $type)?) -> Self {
                self.with(|settings| settings.$field = $value)
            }
        )*}
    };
}
again! {
    inline() inline = true;
    detach() leaving = Some(Disconnect::Detach);
    notify() leaving = Some(Disconnect::Notify);
    deadline(deadline: Duration) deadline = Some(deadline);
    named(name: &'static str) name = Some(name);
    lifetime(lifetime: Lifetime) lifetime = Some(lifetime);
    drop_here() drop_here = true;
    max_concurrency(most: usize) most = Some(NonZeroUsize::new(most));
}

impl<F, Args> Callable<Args> for Configured<F>
where
    F: Callable<Args>,
{
    type Output = F::Output;

    fn invoke(&self, args: Args) -> F::Output {
        self.function.invoke(args)
    }

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn name(&self) -> &'static str {
        self.settings.name.unwrap_or_else(|| self.function.name())
    }
}

impl<F> fmt::Debug for Configured<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Configured").field(&self.settings).finish()
    }
}
