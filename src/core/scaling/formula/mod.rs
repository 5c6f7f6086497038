//! One CEL expression over a policy's triggers, instead of the highest proposal.
//!
//! Every number is a double, so that `rps + 1` is right. A trigger's name (a hyphen is written as an underscore) is the number
//! of replicas that it proposes; `values.NAME` is what it measured; `current`, `ready`, `min` and `max` are replicas, and win over triggers of
//! those names, which are `triggers.NAME`. Where a trigger that the formula needs has no data, the formula has no value, unless
//! it says what to use then: `rps.orValue(3)`, `rps.or(cpu).orValue(3)`, `rps.hasValue() ? rps : 3`.
//!
//! Checked whole before it is accepted, so that no branch fails by its type later. Never loops: its cost is that of its length.

mod check;

use std::sync::{Arc, LazyLock};

use cel::common::types::{CelBool, CelDouble};
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::extractors::Arguments;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use serde::{Deserialize, Serialize};

use crate::core::quantity::Replicas;

/// The longest formula, in characters.
pub const MAX_LENGTH: usize = 1024;
/// What floating point adds to a whole number does not make one replica more: 10 × 1.1 is 11.
const ROUNDING: f64 = 1e-6;

/// A formula that was checked against the names of its triggers. Stored as text and names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "FormulaText", try_from = "FormulaText")]
pub struct Formula {
    text: FormulaText,
    compiled: Arc<Compiled>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FormulaText {
    formula: String,
    triggers: Vec<String>,
}

/// What is evaluated, and which data it cannot do without where it reads them.
#[derive(Debug)]
struct Compiled {
    expr: IdedExpr,
    needs: Vec<Datum>,
}

/// One number of one trigger, by its place among the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Datum {
    Proposal(usize),
    Value(usize),
}

/// What a formula is evaluated with.
#[derive(Clone, Copy, Debug)]
pub struct FormulaInputs<'a> {
    /// Replicas that each trigger proposes, in the order of the names; `None` where it has no usable data.
    pub proposals: &'a [Option<f64>],
    /// What each trigger measured, in the order of the names.
    pub values: &'a [Option<f64>],
    /// Replicas that there are.
    pub current: u32,
    /// Of those, the Ready ones.
    pub ready: u32,
    /// The policy's lower bound.
    pub min: u32,
    /// The policy's upper bound.
    pub max: u32,
}

/// What a formula says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormulaValue {
    /// So many replicas, rounded up.
    Replicas(Replicas),
    /// Nothing, since these triggers have no data.
    Missing {
        /// The triggers' names.
        names: Vec<String>,
    },
}

/// Why a formula is refused, or has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormulaError {
    /// Too much text.
    #[error("the formula has {length} characters, at most {MAX_LENGTH} are allowed")]
    Long {
        /// How many it has.
        length: usize,
    },
    /// Too much in it.
    #[error("the formula is too complex: at most {max} {what} are allowed; split it or use fewer", max = .limit)]
    Complex {
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// Not CEL.
    #[error("the formula cannot be read at line {line}, column {column}: {problem}")]
    Syntax {
        /// From 1.
        line: isize,
        /// From 1.
        column: isize,
        /// What the parser says.
        problem: String,
    },
    /// A name that stands for nothing.
    #[error("`{name}` is not known in the formula: known are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that are known.
        known: String,
    },
    /// The wrong kind of thing.
    #[error("{what} is {found} in the formula where {wanted} is needed")]
    Kind {
        /// Where.
        what: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// What CEL has but formulas do not.
    #[error("a formula cannot use {what}: {instead}")]
    Unsupported {
        /// What is used.
        what: String,
        /// What to write.
        instead: &'static str,
    },
    /// Two triggers are the same in a formula.
    #[error("triggers `{first}` and `{second}` have the same name in a formula: rename one")]
    SameName {
        /// One of the two.
        first: String,
        /// The other.
        second: String,
    },
    /// The result is no number of replicas.
    #[error(
        "the formula gives {result}, which is no number of replicas: it must be finite and at least 0; guard it by max(0, …) or a condition"
    )]
    NoReplicas {
        /// NaN, an infinity or a negative number.
        result: String,
    },
    /// The evaluation failed in a way that the check should have excluded.
    #[error("the formula could not be evaluated: {problem}")]
    Failed {
        /// What the evaluator says.
        problem: String,
    },
}

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::default()));

static FUNCTIONS: LazyLock<Context<'static, 'static>> = LazyLock::new(|| {
    let mut context = Context::with_env(Arc::clone(&ENV));
    // A function's name can only clash with an overload, and this environment has none.
    let _ = context.add_function("max", |Arguments(args): Arguments| fold(&args, f64::max));
    let _ = context.add_function("min", |Arguments(args): Arguments| fold(&args, f64::min));
    let _ = context.add_function("ceil", f64::ceil);
    let _ = context.add_function("floor", f64::floor);
    let _ = context.add_function("round", f64::round);
    let _ = context.add_function("abs", f64::abs);
    let _ = context.add_function(
        "clamp",
        |x: f64, low: f64, high: f64| {
            if x.is_nan() { x } else { x.min(high).max(low) }
        },
    );
    context
});

/// `f64::max` and `min` would leave NaN out; here it spoils the result, so that it is noticed.
fn fold(args: &[Value], pick: fn(f64, f64) -> f64) -> Value {
    let numbers = args.iter().map(|value| match value {
        Value::Float(number) => *number,
        _ => f64::NAN,
    });
    let result = numbers.reduce(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { pick(a, b) });
    Value::Float(result.unwrap_or(f64::NAN))
}

impl Formula {
    /// Reads and checks a formula over triggers of these names.
    ///
    /// # Errors
    /// Says what is wrong, where, and what to write instead.
    pub fn parse(text: &str, trigger_names: &[String]) -> Result<Self, FormulaError> {
        let compiled = check::compile(text, trigger_names)?;
        let formula = Self {
            text: FormulaText {
                formula: text.into(),
                triggers: trigger_names.to_vec(),
            },
            compiled: Arc::new(compiled),
        };
        formula.try_samples()?;
        Ok(formula)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text.formula
    }

    /// The formula's value; missing where it needs what is not there. NaN and infinities are not there.
    ///
    /// # Errors
    /// Where the result is no number of replicas.
    pub fn evaluate(&self, inputs: &FormulaInputs) -> Result<FormulaValue, FormulaError> {
        let resolver = Resolver(inputs);
        let mut context = FUNCTIONS.new_inner_scope();
        context.set_variable_resolver(&resolver);
        match context.resolve(&self.compiled.expr) {
            Ok(Value::Float(number)) => replicas(number),
            Ok(other) => Err(FormulaError::Failed {
                problem: format!("the result is {other:?}"),
            }),
            Err(ExecutionError::UndeclaredReference(_)) => Ok(self.missing(inputs)),
            Err(error) => Err(FormulaError::Failed {
                problem: error.to_string(),
            }),
        }
    }

    fn missing(&self, inputs: &FormulaInputs) -> FormulaValue {
        let gone = self.compiled.needs.iter().filter(|datum| datum.of(inputs).is_none());
        let mut names: Vec<String> = gone
            .filter_map(|datum| self.text.triggers.get(datum.place()).cloned())
            .collect();
        names.sort();
        names.dedup();
        FormulaValue::Missing { names }
    }

    /// A formula that no sample gives a value is wrong, and so is one that cannot be evaluated; a single result that is no
    /// number of replicas proves nothing.
    fn try_samples(&self) -> Result<(), FormulaError> {
        let count = self.text.triggers.len();
        let (mut usable, mut last) = (false, Ok(()));
        for size in [1.0, 7.0, 50.0, 1000.0, 1e6, 0.0] {
            let all = vec![Some(size); count];
            for gone in 0..=count {
                let mut some = all.clone();
                some.iter_mut().skip(gone).take(1).for_each(|x| *x = None);
                let inputs = FormulaInputs {
                    proposals: &some,
                    values: &some,
                    current: 5,
                    ready: 4,
                    min: 1,
                    max: 100,
                };
                match self.evaluate(&inputs) {
                    Ok(FormulaValue::Replicas(_)) => usable = true,
                    Ok(FormulaValue::Missing { .. }) => {}
                    Err(error @ FormulaError::NoReplicas { .. }) => last = Err(error),
                    Err(error) => return Err(error),
                }
            }
        }
        if usable { Ok(()) } else { last }
    }
}

fn replicas(number: f64) -> Result<FormulaValue, FormulaError> {
    if !number.is_finite() || number < 0.0 {
        return Err(FormulaError::NoReplicas {
            result: number.to_string(),
        });
    }
    Ok(FormulaValue::Replicas(Replicas::from_i64(
        (number - ROUNDING).ceil() as i64
    )))
}

impl Datum {
    const fn place(self) -> usize {
        match self {
            Self::Proposal(place) | Self::Value(place) => place,
        }
    }

    fn of(self, inputs: &FormulaInputs) -> Option<f64> {
        let numbers = match self {
            Self::Proposal(_) => inputs.proposals,
            Self::Value(_) => inputs.values,
        };
        numbers.get(self.place()).copied().flatten().filter(|x| x.is_finite())
    }

    /// The variable that holds it, which nobody can write: a letter and a place.
    fn variable(self) -> String {
        match self {
            Self::Proposal(place) => format!("p:{place}"),
            Self::Value(place) => format!("v:{place}"),
        }
    }

    fn named(variable: &str) -> Option<Self> {
        let (kind, place) = variable.split_once(':')?;
        let place = place.parse().ok()?;
        match kind {
            "p" => Some(Self::Proposal(place)),
            "v" => Some(Self::Value(place)),
            _ => None,
        }
    }
}

/// Looks variables up; `?` before a datum's variable asks whether it is there.
struct Resolver<'a>(&'a FormulaInputs<'a>);

impl VariableResolver for Resolver<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let number = |n: u32| Some(CowVal::owned(CelDouble::from(f64::from(n))));
        match variable {
            "current" => number(self.0.current),
            "ready" => number(self.0.ready),
            "min" => number(self.0.min),
            "max" => number(self.0.max),
            _ => match variable.strip_prefix('?') {
                Some(datum) => Some(CowVal::owned(CelBool::from(Datum::named(datum)?.of(self.0).is_some()))),
                None => Some(CowVal::owned(CelDouble::from(Datum::named(variable)?.of(self.0)?))),
            },
        }
    }
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl From<Formula> for FormulaText {
    fn from(formula: Formula) -> Self {
        formula.text
    }
}

impl TryFrom<FormulaText> for Formula {
    type Error = FormulaError;
    fn try_from(text: FormulaText) -> Result<Self, FormulaError> {
        Self::parse(&text.formula, &text.triggers)
    }
}
