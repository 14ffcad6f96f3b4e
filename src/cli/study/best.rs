use super::StudyArgs;
use crate::cli::runs::output::{emit, emit_json};
use explr::Exit;
use explr::tuning::export;
use explr_study::Trial;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    study: StudyArgs,
    /// Print JSON instead of YAML.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> anyhow::Result<Exit> {
    let (_, _, history) = args.study.open()?;
    let best: Vec<&Trial> = history.pareto_front();
    if best.is_empty() {
        eprintln!("no trial of study {} is complete", history.name());
        return Ok(Exit::NothingToDo);
    }
    if let Some(trial) = history.best().filter(|_| history.directions().len() == 1) {
        let best = export::best_json(&history, trial);
        if args.json {
            emit_json(&best)?;
        } else {
            emit(&serde_saphyr::to_string(&best)?)?;
        }
        return Ok(Exit::Ok);
    }
    // Several objectives: a document for each trial that no other beats.
    let all: Vec<_> = best
        .iter()
        .map(|trial| export::best_json(&history, trial))
        .collect();
    if args.json {
        emit_json(&all)?;
    } else {
        for best in all {
            emit(&format!("---\n{}", serde_saphyr::to_string(&best)?))?;
        }
    }
    Ok(Exit::Ok)
}
