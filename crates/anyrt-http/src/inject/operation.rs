//! Path operations: a handler together with what its detection found.

use std::fmt;
use std::sync::Arc;

use axum_core::body::Body;
use axum_core::extract::Request;
use axum_core::response::Response;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body::Body as _;

use super::arguments::FromArgs;
use super::configure::Settings;
use super::context::RequestContext;
use super::dependency::Argument;
use super::function::Function;
use super::guarded::{Work, run_guarded};
use super::handler::{Callable, Dispatch};
use super::requirements::Need;
use crate::request::arrival::Arrival;
use crate::request::endpoint::Answer;
use crate::request::endpoint::answered;
use crate::request::endpoint::{Host, without_prefix};
use crate::request::outcome::Outcome;
use crate::response::problem::{Findings, detail};

/// A path operation, whatever its arguments.
pub(crate) trait Operation: Send + Sync {
    /// Its name: the handler's path, or what it was given.
    fn name(&self) -> &'static str;

    /// Whether the handler runs in the thread pool.
    fn blocking(&self) -> bool;

    /// What it asks for.
    fn arguments(&self) -> &[Argument];

    /// What was set at the handler.
    fn settings(&self) -> &Settings;

    /// Gathers the arguments, calls the handler and makes the response.
    fn call(&self, request: Request, context: RequestContext, options: CallOptions) -> Answer;
}

/// What a request of a route needs besides its handler. Nothing, mostly.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallOptions {
    /// What has to be there before the arguments are gathered: what the routers ask for.
    pub(crate) needs: Option<Arc<[Need]>>,
    /// It runs in stages: something may have to be undone, or the route has a deadline.
    pub(crate) guarded: bool,
}

impl<H, A, M, K> Operation for Function<H, A, M, K>
where
    H: Callable<A> + Send + Sync + 'static,
    A: FromArgs<M> + 'static,
    K: Dispatch<H::Output>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn blocking(&self) -> bool {
        K::BLOCKING && !self.settings.inline
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn call(&self, request: Request, mut context: RequestContext, options: CallOptions) -> Answer {
        let function = Arc::clone(&self.function);
        let CallOptions { needs, guarded } = options;
        let Settings { inline, deadline, .. } = self.settings;
        let (parts, body) = request.into_parts();
        let head = parts.method == Method::HEAD && context.is_of_get();
        if guarded {
            return Box::pin(async move {
                let work: Work<'_> = Box::pin(async {
                    let response = match gather::<A, M>(parts, body, needs, &context).await {
                        Ok(arguments) => K::run(&function, arguments, inline, &context).await,
                        Err(refusal) => refusal,
                    };
                    if head { for_head(response) } else { response }
                });
                run_guarded(work, &context, deadline).await
            });
        }
        Box::pin(async move {
            let response = match gather::<A, M>(parts, body, needs, &context).await {
                Ok(arguments) => K::run(&function, arguments, inline, &context).await,
                Err(refusal) => refusal,
            };
            let response = if head { for_head(response) } else { response };
            if context.is_done() {
                return response;
            }
            let outcome = Outcome::of(&response);
            let closing: Work<'_> = Box::pin(context.close(response, outcome));
            closing.await
        })
    }
}

/// A service of another framework in the place of a path operation.
pub(crate) struct Mounted {
    host: Arc<dyn Host>,
    /// The last parameter of the path is what the service sees of it; else the service sees `/`.
    rest: bool,
    settings: Settings,
}

impl Mounted {
    pub(crate) fn new(host: Arc<dyn Host>, rest: bool) -> Self {
        Mounted { host, rest, settings: Settings::default() }
    }
}

impl Operation for Mounted {
    fn name(&self) -> &'static str {
        "a nested service"
    }

    fn blocking(&self) -> bool {
        false
    }

    fn arguments(&self) -> &[Argument] {
        &[]
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn call(&self, mut request: Request, context: RequestContext, options: CallOptions) -> Answer {
        let path = request.uri().path();
        let rest = if self.rest { context.last_parameter().map(|rest| rest.start) } else { None };
        match without_prefix(request.uri(), rest.unwrap_or(path.len())) {
            Some(uri) => *request.uri_mut() = uri,
            None => return answered(detail(StatusCode::NOT_FOUND, "Not Found")),
        }
        let home = context.home().clone();
        let Some(needs) = options.needs else { return self.host.call(request, &Arrival::at(home)) };
        let host = Arc::clone(&self.host);
        Box::pin(async move {
            let work: Work<'_> = Box::pin(async {
                let (mut parts, body) = request.into_parts();
                match find_all(&needs, &mut parts, &context).await {
                    Ok(findings) if findings.is_empty() => {
                        let request = Request::from_parts(parts, body);
                        let answer = host.call(request, &Arrival::at(home));
                        answer.await
                    }
                    Ok(findings) => findings.into_response(),
                    Err(refusal) => refusal,
                }
            });
            run_guarded(work, &context, None).await
        })
    }
}

/// What the routers ask for, then the arguments of the handler. What does not fit is told all at once.
async fn gather<A: FromArgs<M>, M>(
    mut parts: Parts,
    body: Body,
    needs: Option<Arc<[Need]>>,
    context: &RequestContext,
) -> Result<A, Response> {
    let Some(needs) = needs else { return A::from_request(parts, body, context).await };
    let finding: Work<'_, Result<Findings, Response>> = Box::pin(find_all(&needs, &mut parts, context));
    let mut findings = finding.await?;
    let arguments = findings.keep(A::from_request(parts, body, context).await)?;
    match arguments {
        Some(arguments) if findings.is_empty() => Ok(arguments),
        _ => Err(findings.into_response()),
    }
}

async fn find_all(needs: &[Need], parts: &mut Parts, context: &RequestContext) -> Result<Findings, Response> {
    let mut findings = Findings::default();
    for need in needs {
        findings.keep(need.find(parts, context).await)?;
    }
    Ok(findings)
}

/// An answer to HEAD by the path operation of GET, for the layers around it: with its body, which is taken away outside of
/// them all. What has none says so.
fn for_head(mut response: Response) -> Response {
    let status = response.status();
    let never =
        status.is_informational() || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if response.body().is_end_stream() && !never && !response.headers().contains_key(CONTENT_LENGTH) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    response
}

impl fmt::Debug for dyn Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("handler", &self.name())
            .field("blocking", &self.blocking())
            .finish_non_exhaustive()
    }
}
