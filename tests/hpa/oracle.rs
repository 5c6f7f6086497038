//! The real controller: a process that answers each line with a line.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;

use homeostat::core::scaling::hpa::Input;
use serde::Serialize;
use serde_json::Value;

/// What can be asked.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Question {
    /// What would you do?
    Decide(Box<Input>),
    /// What number is this text?
    Quantity(String),
    /// Which feature gates are on?
    Gates(bool),
}

pub struct Oracle {
    child: Child,
    input: Option<BufWriter<ChildStdin>>,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    pub fn start() -> Self {
        let program = homeostat_cluster::binaries::hpa_oracle().expect("the oracle can be built");
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the oracle starts");
        let input = child.stdin.take().map(BufWriter::new);
        let output = BufReader::new(child.stdout.take().expect("it has an output"));
        Self { child, input, output }
    }

    /// One question.
    pub fn ask(&mut self, question: &Question) -> Value {
        let input = self.input.as_mut().expect("it listens");
        write(input, question);
        input.flush().expect("it listens");
        self.answer()
    }

    /// All questions at once; `told` hears each with its answer.
    pub fn ask_all(questions: impl Iterator<Item = Question> + Send + 'static, mut told: impl FnMut(Question, Value)) {
        let mut oracle = Self::start();
        let mut input = oracle.input.take().expect("it listens");
        let (asked, to_be_answered) = mpsc::sync_channel(1000);
        let asking = std::thread::spawn(move || {
            for question in questions {
                write(&mut input, &question);
                if let Err(mpsc::TrySendError::Full(question)) = asked.try_send(question) {
                    input.flush().expect("it listens");
                    if asked.send(question).is_err() {
                        return;
                    }
                }
            }
        });
        for question in to_be_answered {
            told(question, oracle.answer());
        }
        asking.join().expect("all was asked");
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

fn write(to: &mut impl Write, question: &Question) {
    serde_json::to_writer(&mut *to, question).expect("it listens");
    to.write_all(b"\n").expect("it listens");
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
