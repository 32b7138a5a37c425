//! Runs queries: parse, plan, select, evaluate.
//!
//! Series are selected on the caller's executor, all selectors at once. Evaluation is one
//! synchronous job on the CPU pool; its result comes back through a channel. A caller that goes
//! away, or a deadline, stops the job at its next batch.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::future::try_join_all;
use norn_contract::source::{Need, SelectRequest, Selection, SeriesSource};
use norn_model::Millis;
use norn_promql_syntax::ParseError;
use norn_promql_syntax::ast::{Expr, ValueType};

use crate::annotation::NoteKind;
use crate::cancel::Cancel;
use crate::error::QueryError;
use crate::grid::Grid;
use crate::ledger::Ledger;
use crate::operator::measure::Profile;
use crate::plan::Plan;
use crate::plan::build::{Settings, build};
use crate::query::{Features, Query};
use crate::result;
use crate::value::{Output, Stats, Value};

/// How queries are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How far an instant selector looks back.
    pub lookback: Millis,
    /// Most samples a query may hold.
    pub max_samples: usize,
    /// Longest time a query may take.
    pub timeout: Duration,
    /// Step of subqueries that name none.
    pub default_subquery_step: Millis,
    /// Metric names go away at the end of the query.
    pub delayed_name_removal: bool,
    /// `__type__` and `__unit__` are understood.
    pub type_and_unit_labels: bool,
    /// Start timestamps of samples are looked at by `start_timestamp` and by what reads counters.
    pub use_start_timestamps: bool,
    /// Parts of the language that are on.
    pub syntax: norn_promql_syntax::Options,
    /// Most memory a query may hold, in bytes; 0 = no limit.
    pub max_memory_bytes: u64,
    /// Most series a selector may match; 0 = no limit.
    pub max_series: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lookback: 300_000,
            max_samples: 50_000_000,
            timeout: Duration::from_secs(120),
            default_subquery_step: 60_000,
            delayed_name_removal: false,
            type_and_unit_labels: false,
            use_start_timestamps: false,
            syntax: norn_promql_syntax::Options::default(),
            max_memory_bytes: 0,
            max_series: 0,
        }
    }
}

/// One query.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// PromQL.
    pub text: String,
    /// First evaluation time.
    pub start: Millis,
    /// No evaluation time lies behind it.
    pub end: Millis,
    /// Distance between evaluation times; 0 = an instant query at `start`.
    pub step: Millis,
    /// In place of [`Options::lookback`].
    pub lookback: Option<Millis>,
    /// Shortens [`Options::timeout`].
    pub timeout: Option<Duration>,
    /// Most series in the result; 0 = all.
    pub limit: usize,
    /// Whether each operator is measured.
    pub explain: bool,
}

impl Request {
    /// An instant query.
    pub fn instant(text: impl Into<String>, at: Millis) -> Self {
        Self { text: text.into(), start: at, end: at, ..Self::default() }
    }

    /// A range query.
    pub fn range(text: impl Into<String>, start: Millis, end: Millis, step: Millis) -> Self {
        Self { text: text.into(), start, end, step, ..Self::default() }
    }
}

/// Evaluates PromQL.
#[derive(Clone)]
pub struct Engine {
    options: Arc<Options>,
    pool: Arc<rayon::ThreadPool>,
}

impl Engine {
    /// An engine whose evaluation runs on `pool`.
    pub fn new(options: Options, pool: Arc<rayon::ThreadPool>) -> Self {
        Self { options: Arc::new(options), pool }
    }

    /// The same engine with other options.
    pub fn with(&self, options: Options) -> Self {
        Self { options: Arc::new(options), pool: self.pool.clone() }
    }

    /// How queries are run.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Reads a query.
    pub fn parse(&self, text: &str) -> Result<Expr, ParseError> {
        norn_promql_syntax::parse(text, &self.options.syntax)
    }

    /// Runs `request`. Dropping the future stops the evaluation at its next batch, as does `cancel`.
    pub async fn run(
        &self,
        request: &Request,
        source: Arc<dyn SeriesSource>,
        cancel: Cancel,
    ) -> Result<Output, QueryError> {
        let expr = self.parse(&request.text).map_err(QueryError::Parse)?;
        self.run_parsed(&expr, request, source, cancel).await
    }

    /// Runs `expr`, which was read from `request.text`.
    pub async fn run_parsed(
        &self,
        expr: &Expr,
        request: &Request,
        source: Arc<dyn SeriesSource>,
        cancel: Cancel,
    ) -> Result<Output, QueryError> {
        let timeout = request.timeout.unwrap_or(self.options.timeout).min(self.options.timeout);
        let deadline = Instant::now() + timeout;
        let plan = self.plan(expr, request)?;
        let cancel = cancel.child();
        let _guard = cancel.guard();
        let selections = self.select(&plan, &*source).await?;
        let job = Job {
            plan,
            text: request.text.clone(),
            limit: request.limit,
            explain: request.explain,
            query: QueryParts {
                features: Features {
                    delayed_name_removal: self.options.delayed_name_removal,
                    type_and_unit_labels: self.options.type_and_unit_labels,
                },
                selections,
                ledger: Ledger::new(self.options.max_memory_bytes),
                cancel: cancel.clone(),
                deadline,
                max_samples: self.options.max_samples as u64,
            },
        };
        let (sender, receiver) = oneshot::channel();
        self.pool.spawn(move || {
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| job.run()));
            // Nobody may be waiting any more.
            let _ = sender.send(result.unwrap_or_else(|panic| Err(QueryError::Internal(text_of(&*panic)))));
        });
        receiver.await.unwrap_or(Err(QueryError::Canceled))
    }

    /// What [`Engine::run`] would do for `expr`, which was read from `request.text`.
    pub fn plan(&self, expr: &Expr, request: &Request) -> Result<Plan, QueryError> {
        let is_range = request.step > 0;
        if is_range && !matches!(expr.value_type(), ValueType::Scalar | ValueType::Vector) {
            return Err(QueryError::BadData(format!(
                "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
                expr.value_type().describe()
            )));
        }
        let (grid, end) = if is_range {
            (Grid::range(request.start, request.end, request.step), request.end)
        } else {
            (Grid::instant(request.start), request.start)
        };
        if grid.steps > self.options.max_samples {
            return Err(crate::error::too_many_samples());
        }
        let settings = Settings {
            lookback: request.lookback.filter(|l| *l > 0).unwrap_or(self.options.lookback),
            subquery_step: self.options.default_subquery_step,
            is_range,
            max_steps: self.options.max_samples,
            use_start_timestamps: self.options.use_start_timestamps,
        };
        build(expr, grid, end, settings)
    }

    async fn select(&self, plan: &Plan, source: &dyn SeriesSource) -> Result<Vec<Selection>, QueryError> {
        let selects = plan.selectors.iter().map(|selector| {
            source.select(SelectRequest {
                matchers: selector.matchers.clone(),
                mint: selector.mint,
                maxt: selector.maxt,
                need: Need::Samples,
                max_series: self.options.max_series,
            })
        });
        Ok(try_join_all(selects).await?)
    }
}

struct QueryParts {
    features: Features,
    selections: Vec<Selection>,
    ledger: Arc<Ledger>,
    cancel: Cancel,
    deadline: Instant,
    max_samples: u64,
}

/// An evaluation, ready to run on the pool.
struct Job {
    plan: Plan,
    text: String,
    limit: usize,
    explain: bool,
    query: QueryParts,
}

impl Job {
    fn run(self) -> Result<Output, QueryError> {
        let parts = self.query;
        let series = parts.selections.iter().map(|s| s.labels.len() as u64).sum();
        let mut q = Query::new(
            parts.features,
            parts.selections,
            parts.ledger,
            parts.cancel,
            parts.deadline,
            parts.max_samples,
        );
        q.profile = self.explain.then(|| Profile::new(&self.plan));
        q.check()?;
        let labels = q.selections.iter().flat_map(|s| &s.labels);
        let _labels = q.ledger.charge(labels.map(|l| size_of_val(l) + l.size_bytes()).sum())?;
        let mut value = result::evaluate(&self.plan, &q)?;
        if truncate(&mut value, self.limit) {
            q.notes.add(NoteKind::Truncated, 0, "");
        }
        let (warnings, infos) = q.notes.render(&self.text, &self.plan.order);
        let stats = Stats {
            total_samples: q.counters.samples.load(Ordering::Relaxed),
            peak_samples: q.counters.peak.load(Ordering::Relaxed),
            series,
            chunk_bytes: q.counters.chunk_bytes.load(Ordering::Relaxed),
            peak_memory_bytes: q.ledger.peak(),
        };
        let operators = q.profile.as_ref().map(Profile::operators).unwrap_or_default();
        Ok(Output { value, warnings, infos, stats, operators })
    }
}

/// Cuts the result to `limit` series; whether that took any.
fn truncate(value: &mut Value, limit: usize) -> bool {
    if limit == 0 {
        return false;
    }
    let before = match value {
        Value::Vector(elements) => {
            let before = elements.len();
            elements.truncate(limit);
            before
        }
        Value::Matrix(series) => {
            let before = series.len();
            series.truncate(limit);
            before
        }
        Value::Scalar { .. } | Value::String { .. } => 0,
    };
    before > limit
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}
