//! From text to what is evaluated: every name known, every kind right, everything bounded.
//!
//! Numbers become doubles, and what is said of missing data becomes conditions, so that evaluation knows neither integers nor optionals.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use cel::common::types::CelDouble;

use super::{Compiled, Datum, ENV, FormulaError, MAX_LENGTH};

const MAX_NODES: usize = 512;
const MAX_DEPTH: usize = 64;
const PLAIN: [&str; 4] = ["current", "ready", "min", "max"];
const NUMBER: &str = "a number";
const CONDITION: &str = "a condition";
const OPTIONAL: &str = "an optional";

/// What an expression is, with what it becomes.
enum Checked {
    Number(Expr),
    Condition(Expr),
    /// The first of these that is there.
    Optional(Vec<Choice>),
}

/// Something that may be there.
enum Choice {
    Datum(Datum),
    Always(Expr),
}

struct Checker<'a> {
    names: &'a [String],
    variables: Vec<String>,
    needs: Vec<Datum>,
    nodes: usize,
}

/// Parses and checks.
pub(super) fn compile(text: &str, names: &[String]) -> Result<Compiled, FormulaError> {
    let length = text.chars().count();
    if length > MAX_LENGTH {
        return Err(FormulaError::Long { length });
    }
    check_nesting(text)?;
    let variables: Vec<String> = names.iter().map(|name| variable(name)).collect();
    for (place, variable) in variables.iter().enumerate() {
        if let Some(before) = variables[..place].iter().position(|other| other == variable) {
            return Err(FormulaError::SameName {
                first: names[before].clone(),
                second: names[place].clone(),
            });
        }
    }
    let parsed = ENV.parser().parse(text).map_err(|errors| {
        let first = errors.errors.first();
        let (line, column) = first.map_or((1, 1), |error| error.pos);
        FormulaError::Syntax {
            line,
            column,
            problem: first.map_or_else(String::new, |error| error.msg.chars().take(200).collect()),
        }
    })?;
    let mut checker = Checker {
        names,
        variables,
        needs: Vec::new(),
        nodes: 0,
    };
    let expr = checker.number(&parsed, "the result", 0)?;
    Ok(Compiled {
        expr: ided(expr),
        needs: checker.needs,
    })
}

/// Before the parser, whose stack is as deep as the brackets, signs and questions are.
fn check_nesting(text: &str) -> Result<(), FormulaError> {
    let signs = text.bytes().filter(|b| b"([{?!-".contains(b)).count();
    if signs > MAX_DEPTH {
        return Err(FormulaError::Complex {
            what: "brackets, signs and conditions",
            limit: MAX_DEPTH,
        });
    }
    Ok(())
}

/// A trigger's name as a formula writes it.
fn variable(name: &str) -> String {
    let name = name.replace('-', "_");
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

fn ided(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Call(CallExpr {
        func_name: name.into(),
        target: None,
        args: args.into_iter().map(ided).collect(),
    })
}

fn literal(number: f64) -> Expr {
    Expr::Literal(LiteralValue::Double(CelDouble::from(number)))
}

impl Checker<'_> {
    fn number(&mut self, expr: &IdedExpr, what: &str, depth: usize) -> Result<Expr, FormulaError> {
        match self.check(expr, depth)? {
            Checked::Number(expr) => Ok(expr),
            Checked::Condition(_) => Err(kind(what, CONDITION, NUMBER)),
            Checked::Optional(_) => Err(kind(what, OPTIONAL, "a number (end it by .orValue(…))")),
        }
    }

    fn condition(&mut self, expr: &IdedExpr, what: &str, depth: usize) -> Result<Expr, FormulaError> {
        match self.check(expr, depth)? {
            Checked::Condition(expr) => Ok(expr),
            Checked::Number(_) => Err(kind(what, NUMBER, CONDITION)),
            Checked::Optional(_) => Err(kind(what, OPTIONAL, "a condition (end it by .hasValue())")),
        }
    }

    fn check(&mut self, expr: &IdedExpr, depth: usize) -> Result<Checked, FormulaError> {
        self.count(depth)?;
        if let Some(datum) = self.datum(expr)? {
            self.needs.push(datum);
            return Ok(Checked::Number(Expr::Ident(datum.variable())));
        }
        match &expr.expr {
            Expr::Literal(LiteralValue::Double(number)) => Ok(Checked::Number(literal(*number.inner()))),
            Expr::Literal(LiteralValue::Int(number)) => Ok(Checked::Number(literal(*number.inner() as f64))),
            Expr::Literal(LiteralValue::UInt(number)) => Ok(Checked::Number(literal(*number.inner() as f64))),
            Expr::Literal(value @ LiteralValue::Boolean(_)) => Ok(Checked::Condition(Expr::Literal(value.clone()))),
            Expr::Literal(_) => Err(unsupported("text, bytes or null", "write numbers")),
            Expr::Ident(name) if PLAIN.contains(&name.as_str()) => Ok(Checked::Number(Expr::Ident(name.clone()))),
            Expr::Ident(name) => Err(self.unknown(name)),
            Expr::Call(called) => match &called.target {
                Some(target) => self.method(target, called, depth + 1),
                None => self.function(called, depth + 1),
            },
            Expr::Select(select) => Err(unsupported(
                &format!("the field `{}` here", select.field),
                "only triggers.NAME and values.NAME have fields",
            )),
            Expr::List(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Comprehension(_) | Expr::Unspecified => {
                Err(unsupported(
                    "lists, maps or loops",
                    "name the triggers one by one, such as max(rps, cpu)",
                ))
            }
        }
    }

    fn count(&mut self, depth: usize) -> Result<(), FormulaError> {
        self.nodes += 1;
        let too_many = |what, limit| Err(FormulaError::Complex { what, limit });
        if self.nodes > MAX_NODES {
            return too_many("names, numbers and operators", MAX_NODES);
        }
        if depth > MAX_DEPTH {
            return too_many("levels", MAX_DEPTH);
        }
        Ok(())
    }

    /// `rps`, `triggers.rps`, `values.rps`; nothing where it is another expression.
    fn datum(&self, expr: &IdedExpr) -> Result<Option<Datum>, FormulaError> {
        let place = |name: &str| self.variables.iter().position(|variable| variable == name);
        match &expr.expr {
            Expr::Ident(name) if !PLAIN.contains(&name.as_str()) => Ok(place(name).map(Datum::Proposal)),
            Expr::Select(select) if !select.test => {
                let Expr::Ident(of) = &select.operand.expr else {
                    return Ok(None);
                };
                self.member(of, &select.field)
            }
            _ => Ok(None),
        }
    }

    fn member(&self, of: &str, field: &str) -> Result<Option<Datum>, FormulaError> {
        let make = match of {
            "triggers" => Datum::Proposal,
            "values" => Datum::Value,
            _ => return Ok(None),
        };
        let place = self.variables.iter().position(|variable| variable == field);
        place
            .map(|place| Some(make(place)))
            .ok_or_else(|| self.unknown(&format!("{of}.{field}")))
    }

    /// What may be there: a datum, or an expression that is an optional.
    fn optional(&mut self, expr: &IdedExpr, what: &str, depth: usize) -> Result<Vec<Choice>, FormulaError> {
        if let Some(datum) = self.datum(expr)? {
            self.count(depth)?;
            return Ok(vec![Choice::Datum(datum)]);
        }
        match self.check(expr, depth)? {
            Checked::Optional(choices) => Ok(choices),
            Checked::Number(_) => Err(kind(what, NUMBER, OPTIONAL)),
            Checked::Condition(_) => Err(kind(what, CONDITION, OPTIONAL)),
        }
    }

    fn method(&mut self, target: &IdedExpr, called: &CallExpr, depth: usize) -> Result<Checked, FormulaError> {
        let name = called.func_name.as_str();
        let what = format!("what .{name}() is asked of");
        let is_optional = matches!(&target.expr, Expr::Ident(of) if of == "optional");
        match (name, &called.args[..]) {
            ("none", []) if is_optional => Ok(Checked::Optional(Vec::new())),
            ("of", [value]) if is_optional => {
                let value = self.number(value, "what optional.of() is given", depth)?;
                Ok(Checked::Optional(vec![Choice::Always(value)]))
            }
            ("hasValue", []) => Ok(Checked::Condition(any(self.optional(target, &what, depth)?))),
            ("orValue", [other]) => {
                let choices = self.optional(target, &what, depth)?;
                let other = self.number(other, "what .orValue() is given", depth)?;
                Ok(Checked::Number(first(choices, other)))
            }
            ("or", [other]) => {
                let mut choices = self.optional(target, &what, depth)?;
                choices.extend(self.optional(other, "what .or() is given", depth)?);
                Ok(Checked::Optional(choices))
            }
            _ => Err(unsupported(
                &format!(".{name}() with {} arguments", called.args.len()),
                "there are .orValue(x), .or(x) and .hasValue()",
            )),
        }
    }

    fn function(&mut self, called: &CallExpr, depth: usize) -> Result<Checked, FormulaError> {
        use operators as op;
        let name = called.func_name.as_str();
        match (name, &called.args[..]) {
            (op::CONDITIONAL, [test, yes, no]) => {
                let test = self.condition(test, "what stands before `?`", depth)?;
                let yes = self.number(yes, "what stands after `?`", depth)?;
                let no = self.number(no, "what stands after `:`", depth)?;
                Ok(Checked::Number(call(name, vec![test, yes, no])))
            }
            (op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT, args) => {
                let args = args
                    .iter()
                    .map(|arg| self.condition(arg, "one side of &&, || or !", depth));
                Ok(Checked::Condition(call(name, args.collect::<Result<_, _>>()?)))
            }
            (op::EQUALS | op::NOT_EQUALS | op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, args) => Ok(
                Checked::Condition(call(name, self.numbers(args, "one side of a comparison", depth)?)),
            ),
            (op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::NEGATE, args) => Ok(Checked::Number(call(
                name,
                self.numbers(args, "one side of + - * /", depth)?,
            ))),
            ("max" | "min", args @ [_, ..])
            | ("ceil" | "floor" | "round" | "abs", args @ [_])
            | ("clamp", args @ [_, _, _]) => {
                let what = format!("what {name}() is given");
                Ok(Checked::Number(call(name, self.numbers(args, &what, depth)?)))
            }
            ("has", [asked]) => match self.datum(asked)? {
                Some(datum) => Ok(Checked::Condition(any(vec![Choice::Datum(datum)]))),
                None => Err(unsupported("has() here", "write has(triggers.NAME) or NAME.hasValue()")),
            },
            (op::OPT_SELECT, [of, field]) => match (&of.expr, &field.expr) {
                (Expr::Ident(of), Expr::Literal(LiteralValue::String(field))) => {
                    match self.member(of, field.inner())? {
                        Some(datum) => Ok(Checked::Optional(vec![Choice::Datum(datum)])),
                        None => Err(self.unknown(of)),
                    }
                }
                _ => Err(unsupported("`.?` here", "only triggers.?NAME and values.?NAME have it")),
            },
            _ => Err(unsupported(
                &format!("`{name}` with {} arguments", called.args.len()),
                "there are max, min, ceil, floor, round, abs, clamp(x, low, high), + - * /, comparisons, && || ! and ?:",
            )),
        }
    }

    fn numbers(&mut self, args: &[IdedExpr], what: &str, depth: usize) -> Result<Vec<Expr>, FormulaError> {
        args.iter().map(|arg| self.number(arg, what, depth)).collect()
    }

    fn unknown(&self, name: &str) -> FormulaError {
        let known = self.names.iter().zip(&self.variables);
        let known = known.map(|(name, variable)| match variable == name {
            _ if PLAIN.contains(&variable.as_str()) => format!("triggers.{variable}"),
            true => variable.clone(),
            false => format!("{variable} (trigger {name})"),
        });
        let plain = PLAIN
            .into_iter()
            .chain(["triggers.NAME", "values.NAME"])
            .map(str::to_owned);
        FormulaError::Unknown {
            name: name.chars().take(64).collect(),
            known: known.chain(plain).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Whether one of them is there.
fn any(choices: Vec<Choice>) -> Expr {
    let truth = |is: bool| Expr::Literal(LiteralValue::Boolean(is.into()));
    choices
        .into_iter()
        .rev()
        .fold(truth(false), |rest, choice| match choice {
            Choice::Datum(datum) => call(
                operators::LOGICAL_OR,
                vec![Expr::Ident(format!("?{}", datum.variable())), rest],
            ),
            Choice::Always(_) => truth(true),
        })
}

/// The first of them that is there, otherwise the last resort; what is not needed is not looked at.
fn first(choices: Vec<Choice>, last: Expr) -> Expr {
    choices.into_iter().rev().fold(last, |rest, choice| match choice {
        Choice::Datum(datum) => {
            let there = Expr::Ident(format!("?{}", datum.variable()));
            call(operators::CONDITIONAL, vec![there, Expr::Ident(datum.variable()), rest])
        }
        Choice::Always(value) => value,
    })
}

fn kind(what: &str, found: &'static str, wanted: &'static str) -> FormulaError {
    FormulaError::Kind {
        what: what.into(),
        found,
        wanted,
    }
}

fn unsupported(what: &str, instead: &'static str) -> FormulaError {
    FormulaError::Unsupported {
        what: what.chars().take(80).collect(),
        instead,
    }
}
