//! Searches a made-up training run, prints the summary, and writes the report:
//!
//! ```sh
//! cargo run -p explr-study --example report -- report.html [TRIALS]
//! ```

use explr_study::pruner::{Median, PercentileOptions};
use explr_study::report::{Options, html, text};
use explr_study::{Direction, ObjectiveError, SearchSpace, Study};

const EPOCHS: i64 = 30;

fn main() -> Result<(), ObjectiveError> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "report.html".to_owned());
    let trials = arguments.next().map_or(Ok(200), |count| count.parse())?;

    let space = SearchSpace::builder()
        .log_float("learning_rate", 1e-5..=1.0)
        .int("layers", 1..=6)
        .float("dropout", 0.0..=0.6)
        .categorical("optimizer", ["sgd", "adam", "rmsprop"])
        .float("momentum", 0.0..=0.99)
        .when("optimizer", ["sgd"])
        .build()?;
    let mut study = Study::builder("made-up training")
        .directions([Direction::Maximize])
        .space(space)
        .pruner(Median::new(PercentileOptions::default())?)
        .build()?;
    study.optimize(trials, |trial| {
        let rate = trial.f64("learning_rate")?.log10();
        if rate > -0.1 {
            return Err("the loss is not a number".into());
        }
        let depth = (trial.f64("layers")? - 4.0) / 6.0;
        let momentum = trial.f64("momentum").unwrap_or(0.5);
        let best = 0.97
            - 0.05 * (rate + 2.5).powi(2)
            - 0.3 * depth.powi(2)
            - 0.2 * (trial.f64("dropout")? - 0.2).powi(2)
            - 0.1 * (momentum - 0.9).powi(2);
        let speed = 0.05 + 0.05 * (rate + 5.0);
        let mut accuracy = 0.1;
        for epoch in 0..EPOCHS {
            accuracy = best - (best - 0.1) * (-speed * epoch as f64).exp();
            if trial.report(epoch, accuracy)? {
                break;
            }
        }
        Ok(accuracy)
    })?;

    print!("{}", text(study.history()));
    let options = Options {
        objectives: vec!["accuracy".to_owned()],
        ..Options::default()
    };
    std::fs::write(&path, html(study.history(), &options))?;
    println!("\nwrote {path}");
    Ok(())
}
