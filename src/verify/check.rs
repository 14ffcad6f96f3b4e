use crate::Exit;

/// Everything that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order in which a run needs it.
    pub sections: Vec<Section>,
}

/// Checks of one part of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// How a command would end that needs this part.
    pub exit: Exit,
    /// What was checked.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it is about.
    pub name: String,
    /// What was seen.
    pub seen: String,
    /// What that means.
    pub verdict: Verdict,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Runs work, but something is worse than it could be.
    Warning {
        /// What to do, a command where there is one.
        fix: String,
    },
    /// Runs that need this fail.
    Failure {
        /// What to do, a command where there is one.
        fix: String,
    },
    /// There is nothing to check here.
    NotApplicable,
}

impl Page {
    /// The exit code: that of the first section with a failure.
    pub fn exit(&self) -> Exit {
        let failed = |section: &&Section| section.checks.iter().any(Check::failed);
        let mut sections = self.sections.iter();
        sections
            .find(failed)
            .map_or(Exit::Ok, |section| section.exit)
    }

    /// Every check, with the name of its section.
    pub fn checks(&self) -> impl Iterator<Item = (&'static str, &Check)> {
        let sections = self.sections.iter();
        sections.flat_map(|section| section.checks.iter().map(|check| (section.name, check)))
    }
}

impl Check {
    fn new(name: impl Into<String>, seen: impl Into<String>, verdict: Verdict) -> Self {
        Self {
            name: name.into(),
            seen: seen.into(),
            verdict,
        }
    }

    pub(super) fn ok(name: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(name, seen, Verdict::Ok)
    }

    pub(super) fn warning(
        name: impl Into<String>,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(name, seen, Verdict::Warning { fix: fix.into() })
    }

    pub(super) fn failure(
        name: impl Into<String>,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(name, seen, Verdict::Failure { fix: fix.into() })
    }

    pub(super) fn not_applicable(name: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(name, seen, Verdict::NotApplicable)
    }

    fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failure { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::{Check, Page, Section};
    use crate::Exit;

    #[test]
    fn the_first_failure_gives_the_exit_code_and_a_warning_none() {
        let page = |checks: [Check; 2]| {
            let [first, second] = checks;
            let section = |exit, check| Section {
                name: "",
                exit,
                checks: vec![check],
            };
            let sections = vec![section(Exit::Plugin, first), section(Exit::Store, second)];
            Page { sections }.exit()
        };
        let ok = || Check::ok("", "");
        let failure = || Check::failure("", "", "");
        assert_eq!(page([Check::warning("", "", ""), ok()]), Exit::Ok);
        assert_eq!(page([ok(), failure()]), Exit::Store);
        assert_eq!(page([failure(), failure()]), Exit::Plugin);
    }
}
