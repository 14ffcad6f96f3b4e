use explr_study::{Direction, Distribution, History};
use serde_json::{Value, json};

/// A history in the words of `helper.py dump`.
pub(crate) fn dump(history: &History) -> Value {
    let trials = history.trials().iter().map(|trial| {
        json!({
            "number": trial.number,
            "id": trial.id,
            "state": trial.state.as_str(),
            "values": trial.values.iter().map(|value| number(*value)).collect::<Vec<_>>(),
            "params": trial
                .params
                .iter()
                .map(|(name, assigned)| (name.clone(), assigned.external()))
                .collect::<serde_json::Map<_, _>>(),
            "distributions": trial
                .params
                .iter()
                .map(|(name, assigned)| (name.clone(), distribution(&assigned.distribution)))
                .collect::<serde_json::Map<_, _>>(),
            "intermediate": trial
                .intermediate
                .iter()
                .map(|(step, value)| json!([step, number(*value)]))
                .collect::<Vec<_>>(),
            "user_attrs": trial.user_attrs,
            "system_attrs": trial.system_attrs,
            "started": trial.started.map(time),
            "finished": trial.finished.map(time),
        })
    });
    json!({
        "name": history.name(),
        "directions": history
            .directions()
            .iter()
            .map(|direction| match direction {
                Direction::Minimize => "minimize",
                Direction::Maximize => "maximize",
            })
            .collect::<Vec<_>>(),
        "user_attrs": history.user_attrs(),
        "trials": trials.collect::<Vec<_>>(),
    })
}

fn number(value: f64) -> Value {
    if value.is_finite() {
        value.into()
    } else if value.is_nan() {
        "NaN".into()
    } else if value > 0.0 {
        "Infinity".into()
    } else {
        "-Infinity".into()
    }
}

fn time(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

fn distribution(distribution: &Distribution) -> Value {
    let (name, attributes) = match distribution {
        Distribution::Float(range) => (
            "FloatDistribution",
            json!({
                "low": range.low(),
                "high": range.high(),
                "log": range.is_log(),
                "step": range.step(),
            }),
        ),
        Distribution::Int(range) => (
            "IntDistribution",
            json!({
                "low": range.low(),
                "high": range.high(),
                "log": range.is_log(),
                "step": range.step(),
            }),
        ),
        Distribution::Categorical(categories) => (
            "CategoricalDistribution",
            json!({"choices": categories.values()}),
        ),
    };
    json!({"name": name, "attributes": attributes})
}
