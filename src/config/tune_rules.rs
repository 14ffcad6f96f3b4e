use super::interpolate;
use super::names::{GOOD_NAMES, LONGEST_STUDY, bad_name};
use super::node::{Content, Entry, Node};
use super::problem::Problem;
use super::remedy::shorten;
use super::source::Span;
use super::space;
use super::suggest::did_you_mean;
use explr_study::{Distribution, Domain, Parameter, SearchSpace};
use std::collections::{BTreeMap, HashSet};

/// The rules of a study that a schema can't express.
pub(super) struct TuneRules<'a> {
    pub(super) tree: &'a Node,
    /// None if it is wrong itself.
    pub(super) space: Option<&'a SearchSpace>,
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl<'a> TuneRules<'a> {
    pub(super) fn check(mut self) {
        self.study();
        self.objectives();
        self.metric();
        self.grid();
        let pruner = self.tree.at(&["tune", "pruner"]).map(|entry| &entry.value);
        if let Some(pruner) = pruner {
            self.pruner(pruner, "tune.pruner");
        }
        self.enqueued();
    }

    fn push(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(span, message).help(help));
    }

    fn at(&self, key: &str) -> Option<&'a Entry> {
        self.tree.at(&["tune", key])
    }

    fn resolved(&self, node: &Node) -> Option<String> {
        interpolate::text_with(node.text()?, &|name| self.env.get(name).cloned()).ok()
    }

    /// The study's name is a file's name.
    fn study(&mut self) {
        let own = self.at("study");
        let is_studied = self.tree.entry("tune").or(self.tree.entry("search_space"));
        let Some(entry) = own.or_else(|| is_studied.and(self.tree.entry("experiment"))) else {
            return;
        };
        let Some(name) = self.resolved(&entry.value) else {
            return;
        };
        let wrong = if name.trim().is_empty() {
            "it is empty".to_owned()
        } else if let Some(wrong) = name
            .chars()
            .find(|c| matches!(c, '/' | '\\' | ':') || c.is_control())
        {
            format!("it contains `{}`", wrong.escape_debug())
        } else if name.starts_with('.') {
            "it begins with a dot".to_owned()
        } else if name.len() > LONGEST_STUDY {
            format!("it has more than {LONGEST_STUDY} bytes")
        } else {
            return;
        };
        let shown = shorten(&name);
        if own.is_some() {
            let message = format!("`{shown}` can't be the name of a study: {wrong}");
            let help = "it names a file: use letters, digits, spaces, `-`, `_` and `.`";
            self.push(entry.value.span, message, help);
        } else if !name.trim().is_empty() && !name.contains(['/', ':']) && name.len() <= 500 {
            // Else the name was refused as that of an experiment.
            let message =
                format!("the experiment's name `{shown}` can't be that of its study: {wrong}");
            self.push(
                entry.value.span,
                message,
                "name the study with `tune.study`",
            );
        }
    }

    fn objectives(&mut self) {
        let Some(entry) = self.at("objectives") else {
            return;
        };
        let Content::List(items) = &entry.value.value else {
            return;
        };
        if items.is_empty() {
            self.push(
                entry.value.span,
                "`tune.objectives` is empty",
                "as in `objectives: [{metric: val_loss, direction: minimize}]`, or leave it out",
            );
        }
        for key in ["metric", "direction"] {
            if let Some(other) = self.at(key) {
                let message = format!("`tune.{key}` and `tune.objectives` exclude each other");
                let help = format!("each objective has a `{key}` of its own; remove this one");
                self.push(other.key_span, message, help);
            }
        }
        let mut seen = HashSet::new();
        for item in items {
            if let Some(metric) = item.entry("metric").map(|metric| &metric.value)
                && let Some(name) = metric.text()
            {
                self.metric_name(name, metric.span);
                if !seen.insert(name) {
                    let message = format!("the objective `{}` is there twice", shorten(name));
                    self.push(metric.span, message, "remove one of them");
                }
            }
        }
        if items.len() < 2 {
            return;
        }
        if let Some(goal) = self.at("stop_at") {
            let message = "`tune.stop_at` needs a single objective";
            self.push(
                goal.key_span,
                message,
                "leave it out, or search for one metric",
            );
        }
        let is_none = |pruner: &Node| {
            let name = pruner.entry("name").map_or(pruner, |name| &name.value);
            name.text().is_none_or(|name| name == "none")
        };
        if let Some(pruner) = self.at("pruner").filter(|entry| !is_none(&entry.value)) {
            let message = "there is no pruning with several objectives";
            let help = "write `pruner: none`, or search for one metric";
            self.push(pruner.value.span, message, help);
        }
    }

    fn metric(&mut self) {
        if let Some(entry) = self.at("metric")
            && let Some(name) = entry.value.text()
        {
            self.metric_name(name, entry.value.span);
        }
    }

    fn metric_name(&mut self, name: &str, span: Span) {
        if let Some(wrong) = bad_name(name) {
            let message = format!("`{}` can't be the name of a metric: {wrong}", shorten(name));
            self.push(span, message, GOOD_NAMES);
        }
    }

    /// A grid needs a number of values for each range.
    fn grid(&mut self) {
        let Some(sampler) = self.at("sampler").map(|entry| &entry.value) else {
            return;
        };
        let name = sampler.entry("name").map_or(sampler, |name| &name.value);
        let Some(space) = self.space.filter(|_| name.text() == Some("grid")) else {
            return;
        };
        let points = sampler.entry("points").map(|entry| &entry.value);
        let named = match points.map(|points| (&points.value, points.entries())) {
            Some((Content::Map(_), named)) => named,
            None => &[],
            // The same number for all, or of the wrong kind.
            Some(_) => return,
        };
        for entry in named {
            self.points(entry, space);
        }
        let missing: Vec<&Parameter> = space
            .parameters()
            .iter()
            .filter(|parameter| {
                parameter
                    .distribution()
                    .is_some_and(|distribution| distribution.count().is_none())
                    && !named.iter().any(|entry| entry.key == parameter.name)
            })
            .collect();
        for parameter in missing {
            let name = shorten(&parameter.name);
            let message = format!("a grid needs to know how many values `{name}` has");
            let help = format!(
                "write `sampler: {{name: grid, points: {{{name}: 5}}}}`, or give `{name}` a `step`"
            );
            self.push(name_span(sampler), message, help);
        }
    }

    fn points(&mut self, entry: &Entry, space: &SearchSpace) {
        let name = entry.key.as_str();
        let names = space.parameters().iter().map(|one| one.name.as_str());
        let shown = shorten(name);
        match space.get(name).map(|parameter| &parameter.domain) {
            None => {
                let help = did_you_mean(name, names)
                    .unwrap_or_else(|| format!("define `{shown}` in `search_space` first"));
                let message = format!("`{shown}` is no parameter of the search space");
                self.push(entry.key_span, message, help);
            }
            Some(Domain::Search(Distribution::Float(_) | Distribution::Int(_))) => {}
            Some(_) => {
                let message = format!("`{shown}` has values of its own, all of which are tried");
                self.push(entry.key_span, message, "remove it from `points`");
            }
        }
    }

    fn pruner(&mut self, pruner: &'a Node, path: &str) {
        let name = pruner.entry("name").map_or(pruner, |name| &name.value);
        let has = |key: &str| pruner.entry(key).is_some();
        match name.text() {
            Some("threshold") => {
                let bound = |key: &str| match &pruner.entry(key)?.value.value {
                    Content::Number(number) => number.as_f64(),
                    _ => None,
                };
                if !has("lower") && !has("upper") {
                    let message = format!("`{path}` is a threshold without a limit");
                    let help = "as in `{name: threshold, upper: 10}`; `lower` and `upper` are the \
                                values that still go on";
                    self.push(name_span(pruner), message, help);
                } else if let (Some(lower), Some(upper)) = (bound("lower"), bound("upper"))
                    && lower > upper
                    && let Some(entry) = pruner.entry("lower")
                {
                    let message =
                        format!("`{path}.lower` ({lower}) is greater than `upper` ({upper})");
                    self.push(entry.value.span, message, "swap them");
                }
            }
            Some("hyperband") => {
                let number = |key: &str| match &pruner.entry(key)?.value.value {
                    Content::Number(number) => number.as_u64(),
                    _ => None,
                };
                if let (Some(least), Some(most)) = (number("min_resource"), number("max_resource"))
                    && least > most
                    && let Some(entry) = pruner.entry("min_resource")
                {
                    let message = format!(
                        "`{path}.min_resource` ({least}) is greater than `max_resource` ({most})"
                    );
                    self.push(entry.value.span, message, "swap them");
                }
            }
            Some("patient") if pruner.text().is_some() => {
                let message = format!("`{path}` is patient, but for how long?");
                let help = "as in `{name: patient, patience: 3, wrapped: median}`";
                self.push(pruner.span, message, help);
            }
            Some("patient") => {
                if let Some(wrapped) = pruner.entry("wrapped").map(|entry| &entry.value) {
                    self.pruner(wrapped, &format!("{path}.wrapped"));
                }
            }
            _ => {}
        }
    }

    /// Trials that run first have values that their parameters can have.
    ///
    /// A name that is not in the space may be one that the train function
    /// itself suggests; one that is nearly in the space is a slip.
    fn enqueued(&mut self) {
        let (Some(entry), Some(space)) = (self.at("enqueue"), self.space) else {
            return;
        };
        let Content::List(trials) = &entry.value.value else {
            return;
        };
        for trial in trials {
            let mut values = Vec::new();
            leaves(trial, "", space, &mut values);
            for (name, entry) in values {
                self.enqueued_value(&name, entry, space);
            }
        }
    }

    fn enqueued_value(&mut self, name: &str, entry: &Entry, space: &SearchSpace) {
        let Some(parameter) = space.get(name) else {
            let names = space.parameters().iter().map(|one| one.name.as_str());
            if let Some(help) = did_you_mean(name, names) {
                let message = format!("`{}` is no parameter of the search space", shorten(name));
                self.push(entry.key_span, message, help);
            }
            return;
        };
        let value = entry.value.to_json();
        if !space::is_possible(&parameter.domain, &value) {
            let message = format!("`{}` is never {}", shorten(name), space::shown(&value));
            let help = space::possible(&parameter.domain, &value);
            self.push(entry.value.span, message, help);
        }
    }
}

/// The entries of a trial by full name, as they are written, nested or with
/// dots.
fn leaves<'a>(
    node: &'a Node,
    prefix: &str,
    space: &SearchSpace,
    found: &mut Vec<(String, &'a Entry)>,
) {
    for entry in node.entries() {
        let name = format!("{prefix}{}", entry.key);
        let is_level = matches!(entry.value.value, Content::Map(_)) && space.get(&name).is_none();
        if is_level {
            leaves(&entry.value, &format!("{name}."), space, found);
        } else {
            found.push((name, entry));
        }
    }
}

/// Where a sampler or pruner is named.
fn name_span(node: &Node) -> Span {
    node.entry("name")
        .map_or(node.span, |entry| entry.value.span)
}
