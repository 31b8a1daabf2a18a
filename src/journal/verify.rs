//! Whether a session is whole: every checksum, the order of records and files, cycles and their items.

use std::path::PathBuf;

use crate::cycle::{Cycle, CycleError};
use crate::layout::{EndReason, FileHeader, Kind};
use crate::read::{Damage, File, OpenError, Scan, Tail};
use crate::session::Session;

/// Agents that a journal may name; the engine has four.
const AGENTS_MAX: usize = 256;

/// What is wrong with a session beyond the damage of one record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A file cannot be opened.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// A record is damaged.
    #[error("offset {at}: {damage}")]
    Damaged {
        /// Where it begins in its file.
        at: usize,
        /// What is wrong.
        damage: Damage,
    },
    /// A whole record does not hold a cycle.
    #[error("offset {at}: {why}")]
    Cycle {
        /// Where it begins in its file.
        at: usize,
        /// Why not.
        why: CycleError,
    },
    /// An agent's cycles do not follow each other.
    #[error("offset {at}: agent {agent} has cycle {found} after cycle {last}")]
    Order {
        /// Where the record begins in its file.
        at: usize,
        /// The agent.
        agent: u8,
        /// Its cycle.
        found: u64,
        /// The one before.
        last: u64,
    },
    /// A file of the session is missing, or not of this session.
    #[error("file {found} of the session follows file {last}, or is another session's")]
    Missing {
        /// Its number.
        found: u32,
        /// Number of the file before.
        last: u32,
    },
    /// The first record of a file does not continue the file before.
    #[error("the file begins at sequence number {found}, expected {expected}")]
    Gap {
        /// As found.
        found: u64,
        /// As expected.
        expected: u64,
    },
    /// A file that is not the last ends without saying that it goes on.
    #[error("the session goes on after a file that does not say so")]
    Unfinished,
}

/// One file as verified.
#[derive(Debug)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// Its header, when it has one.
    pub header: Option<FileHeader>,
    /// Whole records.
    pub records: u64,
    /// Cycles among them.
    pub cycles: u64,
    /// Offset, sequence number and kind of the last whole record.
    pub last: Option<(usize, u64, Kind)>,
    /// How it ends, when it could be opened.
    pub tail: Option<Tail>,
    /// What is wrong with it; nothing behind it is believed.
    pub problem: Option<Problem>,
}

/// A session as verified.
#[derive(Debug, Default)]
pub struct Report {
    /// Files in order, up to the first that is wrong.
    pub files: Vec<FileReport>,
    /// Whole records.
    pub records: u64,
    /// Cycles by agent, in the engine's order.
    pub cycles: Vec<u64>,
    /// Time of the first and the last cycle, ns.
    pub span_ns: Option<(u64, u64)>,
    /// The session's first file is there.
    pub from_start: bool,
}

impl Report {
    /// Whether every record up to the end is whole and in order. An end without a close is no fault of the journal.
    pub fn is_whole(&self) -> bool {
        self.files.iter().all(|f| f.problem.is_none())
    }

    /// How the session ends, by its last file.
    pub fn tail(&self) -> Option<Tail> {
        self.files.last().and_then(|f| f.tail)
    }

    /// Cycles of all agents.
    pub fn cycles_total(&self) -> u64 {
        self.cycles.iter().sum()
    }
}

/// Verifies a session; stops at the first thing that is wrong.
pub fn verify(session: &Session) -> Report {
    let mut report = Report::default();
    let mut run = Run { last_cycle: vec![None; AGENTS_MAX], before: None };
    for (i, path) in session.paths().iter().enumerate() {
        let is_last = i + 1 == session.paths().len();
        let mut file = FileReport {
            path: path.clone(),
            header: None,
            records: 0,
            cycles: 0,
            last: None,
            tail: None,
            problem: None,
        };
        match File::open(path) {
            Ok(opened) => run.file(&opened, is_last, &mut file, &mut report),
            Err(error) => file.problem = Some(error.into()),
        }
        let stop = file.problem.is_some();
        report.files.push(file);
        if stop {
            break;
        }
    }
    report
}

struct Run {
    last_cycle: Vec<Option<u64>>,
    /// Header of the file before, and the sequence number that must follow it.
    before: Option<(FileHeader, u64)>,
}

impl Run {
    fn file(&mut self, opened: &File, is_last: bool, file: &mut FileReport, report: &mut Report) {
        let header = opened.header.clone();
        file.header = Some(header.clone());
        match &self.before {
            None => report.from_start = header.number == 0,
            Some((last, next)) => {
                if header.number != last.number + 1 || header.started_ns != last.started_ns {
                    file.problem = Some(Problem::Missing { found: header.number, last: last.number });
                    return;
                }
                if header.first_seq != *next {
                    file.problem = Some(Problem::Gap { found: header.first_seq, expected: *next });
                    return;
                }
            }
        }
        let mut scan = opened.scan();
        if let Err(problem) = self.records(&mut scan, file, report) {
            file.problem = Some(problem);
            return;
        }
        file.tail = scan.tail();
        if let Some(Tail::Damaged { at, damage }) = scan.tail() {
            file.problem = Some(Problem::Damaged { at, damage });
        } else if !is_last && !matches!(scan.tail(), Some(Tail::Closed { reason: EndReason::Rotated, .. })) {
            file.problem = Some(Problem::Unfinished);
        }
        self.before = Some((header, scan.next_seq()));
    }

    fn records(
        &mut self,
        scan: &mut Scan<'_>,
        file: &mut FileReport,
        report: &mut Report,
    ) -> Result<(), Problem> {
        for record in scan.by_ref() {
            if record.kind == Kind::Cycle {
                let at = record.offset;
                let wrong = |why| Problem::Cycle { at, why };
                let cycle = Cycle::decode(record.body).map_err(wrong)?;
                cycle.check().map_err(wrong)?;
                let last = &mut self.last_cycle[cycle.agent as usize];
                if let Some(last) = last.filter(|last| cycle.number <= *last) {
                    return Err(Problem::Order { at, agent: cycle.agent, found: cycle.number, last });
                }
                *last = Some(cycle.number);
                file.cycles += 1;
                let agents = report.cycles.len().max(cycle.agent as usize + 1);
                report.cycles.resize(agents, 0);
                report.cycles[cycle.agent as usize] += 1;
                let first = report.span_ns.map_or(cycle.now_ns, |s| s.0);
                report.span_ns = Some((first, cycle.now_ns));
            }
            file.records += 1;
            report.records += 1;
            file.last = Some((record.offset, record.seq, record.kind));
        }
        Ok(())
    }
}
