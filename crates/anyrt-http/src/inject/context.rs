//! The request context: what the arguments of one request share.

use std::any::TypeId;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyrt::blocking::Token;
use anyrt::sync::Event;
use anyrt::task::TaskContext;
use axum_core::extract::Request;
use axum_core::response::Response;
use http::Method;
use http::request::Parts;

use super::core::Core;
use crate::base::lifetime::Lifetime;
use crate::base::limits::Limits;
use crate::request::after::After;
use crate::request::at_end::{Waiter, at_end};
use crate::request::background::{Background, List};
use crate::request::endpoint::{Answer, answered};
use crate::request::home::Home;
use crate::request::kept::{Kept, KeptList};
use crate::request::live::Live;
use crate::request::matched::{OperationId, Parameters};
use crate::request::outcome::Outcome;
use crate::request::reply::{Reply, ResponseHeaders};
use crate::request::undo::{Entry, Stack, told};
use crate::request::value::Value;
use crate::response::problem::internal;

/// What the arguments of one request share: path parameters, the cache of dependencies, limits.
///
/// It is the state `S` of axum-core's `FromRequestParts<S>` and `FromRequest<S>`: an extractor of
/// your own that is generic over the state works in a path operation, and one for this type can ask
/// it.
pub struct RequestContext {
    core: Arc<Core>,
    /// None at start-up.
    operation: Option<OperationId>,
    parameters: Parameters,
    home: Home,
    /// Set when the client leaves, if anything asks for that.
    gone: Option<Event>,
    /// If the app has a view.
    live: Option<Live>,
    /// A call of it had a token of the pool.
    begun: AtomicBool,
    state: Mutex<Collected>,
}

/// What a request collects on its way. Nothing of it allocates before it is used.
#[derive(Default)]
struct Collected {
    cache: Vec<(TypeId, Value)>,
    function: Stack,
    request: Stack,
    background: Option<Arc<List>>,
    reply: Option<Arc<Reply>>,
    /// Last, so that it is dropped after all that may hold what is in it.
    kept: KeptList,
}

impl RequestContext {
    pub(crate) fn new(
        core: Arc<Core>,
        operation: OperationId,
        parameters: Parameters,
        home: Home,
        gone: Option<Event>,
    ) -> Self {
        RequestContext {
            core,
            operation: Some(operation),
            parameters,
            home,
            gone,
            live: None,
            begun: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// A context for what is made at start-up, without a request.
    pub(crate) fn at_start(core: Arc<Core>) -> Self {
        let parameters = Parameters::default();
        RequestContext {
            core,
            operation: None,
            parameters,
            home: Home::ROOT,
            gone: None,
            live: None,
            begun: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Calls the path operation that this context was made for.
    pub(crate) fn call(request: Request, context: RequestContext) -> Answer {
        let core = Arc::clone(&context.core);
        match context.operation {
            Some(operation) => core.routes.operated(operation).call(request, context),
            None => answered(internal()),
        }
    }

    /// Whether the path operation is one for GET, whatever it was asked by.
    pub(crate) fn is_of_get(&self) -> bool {
        self.operation
            .is_some_and(|operation| self.core.routes.operated(operation).method == Some(Method::GET))
    }

    pub(crate) fn is_followed_by(&mut self, live: Live) {
        self.live = Some(live);
    }

    #[cfg(feature = "view")]
    pub(crate) fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn is_start(&self) -> bool {
        self.operation.is_none()
    }

    /// The limits of the app.
    pub fn limits(&self) -> &Limits {
        &self.core.limits
    }

    /// The route's pattern, with all prefixes: `/items/{id}`.
    pub fn route(&self) -> &str {
        self.operation.map_or("", |(route, _)| self.core.routes.pattern(route))
    }

    /// The background tasks of this request, for extractors of your own.
    pub fn background(&self) -> Background {
        Background::of(Arc::clone(self.lock().background.get_or_insert_default()))
    }

    /// What is added to the response of this request, for extractors of your own.
    pub fn response_headers(&self) -> ResponseHeaders {
        ResponseHeaders::of(Arc::clone(self.lock().reply.get_or_insert_default()))
    }

    /// Name and text of each path parameter, still percent-encoded, in the order of the path.
    pub(crate) fn parameters<'a>(
        &'a self,
        parts: &'a Parts,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let path = parts.uri.path();
        let names = self.operation.map_or(&[][..], |(route, _)| self.core.routes.names(route));
        // A middleware that shortened the path leaves nothing to read: an empty text then.
        let texts = self.parameters.iter().map(move |range| path.get(range).unwrap_or_default());
        names.iter().map(String::as_str).zip(texts)
    }

    /// Where the last path parameter is in the path.
    pub(crate) fn last_parameter(&self) -> Option<std::ops::Range<usize>> {
        self.parameters.iter().last()
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn gone(&self) -> Option<Event> {
        self.gone.clone()
    }

    pub(crate) fn cached(&self, kind: TypeId) -> Option<Value> {
        let state = self.lock();
        state.cache.iter().find(|(cached, _)| *cached == kind).map(|(_, value)| Arc::clone(value))
    }

    pub(crate) fn cache(&self, kind: TypeId, value: Value) {
        self.lock().cache.push((kind, value));
    }

    /// Notes what has to be undone.
    pub(crate) fn push(&self, lifetime: Lifetime, entry: Entry) {
        let mut state = self.lock();
        match lifetime {
            Lifetime::Function => state.function.push(entry),
            Lifetime::Request | Lifetime::App => state.request.push(entry),
        }
    }

    /// Keeps a value whose drop may block until the request is over.
    pub(crate) fn keep(&self, value: Value, token: Option<Token>) {
        self.lock().kept.push(Kept::new(value, token), &self.core.drops);
    }

    /// Whether a call of this request had a token of the pool.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Notes that a call of this request has one.
    pub(crate) fn begins(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Whether the path operation itself runs in the pool.
    pub(crate) fn ends_in_pool(&self) -> bool {
        self.operation.is_some_and(|operation| self.core.routes.operated(operation).operation.blocking())
    }

    /// What was made at start-up and has to be undone at shutdown.
    pub(crate) fn into_stack(self) -> Stack {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).request
    }

    /// Whether the response is all that is left of the request.
    pub(crate) fn is_done(&mut self) -> bool {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.gone.is_none()
            && state.function.is_empty()
            && state.request.is_empty()
            && state.background.is_none()
            && state.reply.is_none()
            && state.kept.is_empty()
    }

    /// Undoes the function scope, and puts what is left onto the response.
    ///
    /// # Cancel safety
    ///
    /// Shielded. Between its end and the return of the response to the server nothing is lost: the response carries it.
    pub(crate) async fn close(&self, mut response: Response, mut outcome: Outcome) -> Response {
        let function = std::mem::take(&mut self.lock().function);
        if !function.is_empty() {
            let replace = |name: &'static str, error: Response| {
                told(name, &error);
                response = error;
            };
            anyrt::shield(function.undo(&mut outcome, replace)).await;
            if let Outcome::Panicked(_) = outcome {
                response = internal();
            }
        }
        let (stack, background, reply) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.request), state.background.clone(), state.reply.take())
        };
        if let Some(reply) = reply {
            reply.apply(&mut response);
        }
        // Inside of what begins when the client has left.
        if let Some(gone) = self.gone.clone() {
            response = at_end(response, &self.home, Waiter::Gone(gone));
        }
        if stack.is_empty() && background.is_none() {
            // What has no body to wait for stays here, and is dropped with the last that may hold it.
            return if http_body::Body::is_end_stream(response.body()) {
                response
            } else {
                self.kept().attach(response)
            };
        }
        let (home, locals) = (self.home.clone(), TaskContext::capture());
        let live = self.live.clone();
        let lane = self.has_begun().then(|| Arc::clone(&self.core.lane));
        let after = After { home, live, background, lane, stack, outcome, locals, kept: self.kept() };
        at_end(response, &self.home, Waiter::After(after))
    }

    /// What is kept, for the task that goes on when this context is dropped.
    fn kept(&self) -> KeptList {
        std::mem::take(&mut self.lock().kept)
    }

    /// Undoes all of a request that makes no response.
    pub(crate) async fn undo_all(&self, mut outcome: Outcome) {
        let (function, request, background) = {
            let mut state = self.lock();
            let function = std::mem::take(&mut state.function);
            (function, std::mem::take(&mut state.request), state.background.clone())
        };
        if let Some(background) = background {
            background.give_up();
        }
        function.undo(&mut outcome, |name, error| told(name, &error)).await;
        request.undo(&mut outcome, |name, error| told(name, &error)).await;
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext").field("route", &self.route()).finish_non_exhaustive()
    }
}
