//! `offpath spool`: what waits on disk, and ways to get it out.
#![expect(clippy::print_stdout, reason = "a command line answers on stdout")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::{Args, Subcommand};
use offpath_config::{Config, Env, ExperimentRef};
use offpath_export::{ShelfView, SpoolView, otlp_json, rescue};

/// Look at the traces on disk, or get them out.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List what waits, by sink and route. Works beside a running offpath.
    Ls {
        #[command(flatten)]
        place: Place,
        /// List every trace.
        #[arg(long)]
        traces: bool,
    },
    /// Write what waits as OTLP JSON, a request per line, and leave it there.
    Export {
        #[command(flatten)]
        place: Place,
        /// The file to write; standard output without it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Deliver what waits to the sinks of the configuration. offpath must not be running.
    Drain {
        /// The configuration, with `export.spool` and the sinks.
        #[arg(long, env = "OFFPATH_CONFIG", value_name = "FILE")]
        config: PathBuf,
        /// Give up after so many seconds; what is left stays on disk.
        #[arg(long, default_value_t = 300, value_name = "SECONDS")]
        timeout: u64,
    },
    /// Read everything and check it: 0 where all is sound, 1 where something is damaged.
    Verify {
        #[command(flatten)]
        place: Place,
    },
}

/// Which spool.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// The configuration that names it.
    #[arg(long, env = "OFFPATH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its folder.
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
}

/// Runs a command to its exit code.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Ls { place, traces } => {
            let view = place.view()?;
            list(&view.shelves());
            if traces {
                list_traces(&view);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Export { place, out } => export(&place.view()?, out),
        Command::Drain { config, timeout } => drain(&load(&config)?, timeout),
        Command::Verify { place } => Ok(verify(&place.view()?)),
    }
}

impl Place {
    fn view(&self) -> anyhow::Result<SpoolView> {
        let path = match (&self.path, &self.config) {
            (Some(path), _) => path.clone(),
            (None, Some(config)) => spool_of(&load(config)?)?,
            (None, None) => anyhow::bail!("neither a configuration nor a folder is named"),
        };
        Ok(SpoolView::open(&path)?)
    }
}

fn load(file: &std::path::Path) -> anyhow::Result<Config> {
    Config::load(file, &Env::from_process()).map_err(|errors| anyhow::anyhow!("{errors}"))
}

fn spool_of(config: &Config) -> anyhow::Result<PathBuf> {
    let spool = config.export.spool.as_ref();
    let spool = spool.context("the configuration has no `export.spool` with a `path` in use")?;
    Ok(spool.path.clone())
}

fn list(shelves: &[ShelfView]) {
    for shelf in shelves {
        println!(
            "{}: {} traces in {} segments, {} bytes{}",
            destination(shelf),
            shelf.pending(),
            shelf.segments,
            shelf.bytes,
            shelf.oldest_ms.map_or_else(String::new, oldest),
        );
        for (route, count) in &shelf.traces {
            println!("  {count:>9}  {route}");
        }
        if shelf.gaps > 0 {
            println!("  {:>9}  places that hold no whole trace", shelf.gaps);
        }
        if shelf.unreadable > 0 {
            println!("  {:>9}  segments that cannot be read", shelf.unreadable);
        }
    }
    let all: u64 = shelves.iter().map(ShelfView::pending).sum();
    println!("{all} traces wait");
}

fn destination(shelf: &ShelfView) -> String {
    let folder = shelf.folder.display();
    let Some(sink) = &shelf.sink else {
        return format!("{folder} (no segment says for which sink)");
    };
    match &shelf.experiment {
        None => sink.to_string(),
        Some(ExperimentRef::Default) => format!("{sink}, default experiment"),
        Some(ExperimentRef::Id(id)) => format!("{sink}, experiment {id}"),
        Some(ExperimentRef::Name(name)) => format!("{sink}, experiment `{name}`"),
    }
}

fn oldest(ended_ms: u64) -> String {
    let ended = SystemTime::UNIX_EPOCH + Duration::from_millis(ended_ms);
    let age = SystemTime::now().duration_since(ended).unwrap_or_default();
    format!(", the oldest {} s old", age.as_secs())
}

fn list_traces(view: &SpoolView) {
    view.each_trace(&mut |trace| {
        let record = &trace.record;
        let bytes = record.as_ref().map(|record| record.len().to_string());
        println!(
            "tr-{}  {}  {}  {}",
            trace.trace_id,
            trace.ended_ms,
            trace.route,
            bytes.unwrap_or_else(|| "damaged".to_owned()),
        );
    });
}

fn export(view: &SpoolView, out: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut writer: Box<dyn std::io::Write> = match &out {
        Some(path) => {
            let file = std::fs::File::create(path);
            let file = file.with_context(|| format!("cannot write `{}`", path.display()))?;
            Box::new(std::io::BufWriter::new(file))
        }
        None => Box::new(std::io::stdout().lock()),
    };
    let (mut written, mut damaged) = (0_u64, 0_u64);
    let mut failed = None;
    view.each_trace(
        &mut |trace| match trace.record.as_deref().and_then(otlp_json) {
            Some(json) if failed.is_none() => match writeln!(writer, "{json}") {
                Ok(()) => written += 1,
                Err(error) => failed = Some(error),
            },
            Some(_) => {}
            None => damaged += 1,
        },
    );
    if let Some(error) = failed {
        return Err(error).context("cannot write");
    }
    writer.flush().context("cannot write")?;
    eprintln!("{written} traces written, {damaged} damaged");
    Ok(ExitCode::SUCCESS)
}

fn drain(config: &Config, timeout: u64) -> anyhow::Result<ExitCode> {
    let path = spool_of(config)?;
    crate::log::start(&config.log);
    let drained = rescue(config, Duration::from_secs(timeout))?;
    let left: u64 = SpoolView::open(&path)?
        .shelves()
        .iter()
        .map(ShelfView::pending)
        .sum();
    println!(
        "{} traces delivered, {} refused or damaged, {left} left",
        drained.delivered, drained.dropped
    );
    Ok(match left {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn verify(view: &SpoolView) -> ExitCode {
    let shelves = view.shelves();
    let (mut sound, mut damaged) = (0_u64, 0_u64);
    view.each_trace(&mut |trace| match trace.record {
        Some(_) => sound += 1,
        None => {
            damaged += 1;
            println!("damaged: tr-{} of route {}", trace.trace_id, trace.route);
        }
    });
    let gaps: u64 = shelves.iter().map(|shelf| shelf.gaps).sum();
    let unreadable: u64 = shelves.iter().map(|shelf| shelf.unreadable).sum();
    let states = shelves.iter().filter(|shelf| !shelf.state_is_sound);
    for shelf in states.clone() {
        println!(
            "damaged: position and accounts of {}",
            shelf.folder.display()
        );
    }
    println!(
        "{sound} traces sound, {damaged} damaged, {gaps} places that hold no whole trace, {unreadable} segments unreadable"
    );
    match damaged + gaps + unreadable + states.count() as u64 {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
