//! The libtorch that workers would open, as its files tell it.

use super::Check;
use super::version::Version;
use crate::runner::{PAIRS, Pair, find_libtorch, has_cuda};
use crate::worker::libtorch_version;
use std::fs;
use std::path::{Path, PathBuf};

/// What to do where there is none.
const INSTALL: &str = "python3 -m venv .venv && .venv/bin/pip install torch==2.10.0";

pub(super) struct Facts {
    /// What `LIBTORCH` names.
    given: Option<PathBuf>,
    pub(super) found: Option<Found>,
    /// The version of tch in the project's `Cargo.lock`.
    tch: Option<String>,
}

/// A libtorch.
pub(super) struct Found {
    pub(super) folder: PathBuf,
    pub(super) version: Option<String>,
    /// It has a CUDA part.
    pub(super) has_cuda: bool,
    /// The version of CUDA that it was built with.
    pub(super) cuda: Option<Version>,
    /// Built with the C++ ABI that every compiler since GCC 5 uses.
    pub(super) new_abi: Option<bool>,
    /// The GPUs that it has code for, as in `sm_90`.
    pub(super) architectures: Vec<String>,
    /// How to get another one in its place.
    pub(super) replace: String,
}

pub(super) fn gather(folder: &Path) -> Facts {
    let given = std::env::var_os("LIBTORCH").map(PathBuf::from);
    Facts {
        found: find_libtorch(&[folder]).map(|found| look(found, given.as_deref())),
        given,
        tch: folder
            .ancestors()
            .find_map(|folder| fs::read_to_string(folder.join("Cargo.lock")).ok())
            .and_then(|lock| locked_tch(&lock)),
    }
}

fn look(folder: PathBuf, given: Option<&Path>) -> Found {
    let read = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let (python, build) = (read("version.py"), read("build-version"));
    let library = |name: &str| fs::read(folder.join("lib").join(name)).unwrap_or_default();
    let build_version = || Some(Version::find(&build)?.to_string());
    Found {
        version: libtorch_version(&folder).or_else(build_version),
        has_cuda: has_cuda(&folder),
        cuda: cuda_of(&python, &build),
        new_abi: has_new_abi(&library("libc10.so")),
        architectures: architectures(&library("libtorch_python.so")),
        replace: replace(&folder, given),
        folder,
    }
}

/// How to get another libtorch in place of the one in `folder`: what is found
/// before `.venv` has to go first.
fn replace(folder: &Path, given: Option<&Path>) -> String {
    if given == Some(folder) {
        format!("unset LIBTORCH && {INSTALL}")
    } else if folder.is_symlink() {
        format!("rm {} && {INSTALL}", folder.display())
    } else {
        INSTALL.to_owned()
    }
}

/// The version of tch that a `Cargo.lock` holds.
fn locked_tch(lock: &str) -> Option<String> {
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"tch\"");
    let version = lines.nth(1)?.strip_prefix("version = \"")?;
    Some(version.trim_end_matches('"').to_owned())
}

/// The version of CUDA in `cuda: Optional[str] = '12.8'` of a wheel, or in
/// `2.10.0+cu128` of an archive.
fn cuda_of(python: &str, build: &str) -> Option<Version> {
    let in_wheel = python
        .lines()
        .find(|line| line.starts_with("cuda"))
        .and_then(|line| line.split('\'').nth(1))
        .and_then(Version::find);
    in_wheel.or_else(|| {
        let digits = build.split_once("+cu")?.1.trim();
        let (major, minor) = digits.split_at_checked(digits.len().checked_sub(1)?)?;
        Some(Version(major.parse().ok()?, minor.parse().ok()?, 0))
    })
}

/// The ABI, by the names of the symbols in `libc10.so`.
fn has_new_abi(library: &[u8]) -> Option<bool> {
    let has = |name: &str| memchr::memmem::find(library, name.as_bytes()).is_some();
    if has("NSt7__cxx1112basic_string") {
        Some(true)
    } else {
        has("c10").then_some(false)
    }
}

/// The list that `torch.cuda.get_arch_list()` gives, from the library that
/// holds it. Empty where there is none, as in an archive without Python.
fn architectures(library: &[u8]) -> Vec<String> {
    memchr::memmem::find_iter(library, b"\0sm_")
        .filter_map(|at| {
            let text = library[at + 1..].split(|byte| *byte == 0).next()?;
            std::str::from_utf8(text).ok()
        })
        .find(|text| text.split(' ').all(is_architecture))
        .map(|text| text.split(' ').map(str::to_owned).collect())
        .unwrap_or_default()
}

fn is_architecture(word: &str) -> bool {
    let number = word
        .strip_prefix("sm_")
        .or_else(|| word.strip_prefix("compute_"));
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![found(facts)];
    if let Some(found) = &facts.found {
        checks.push(version(found.version.as_deref(), &found.replace));
        checks.push(tch(found.version.as_deref(), facts.tch.as_deref()));
        checks.push(abi(found.new_abi, &found.replace));
        checks.push(cuda(found));
    }
    checks
}

fn found(facts: &Facts) -> Check {
    let name = "libtorch";
    let found = facts.found.as_ref().map(|found| found.folder.as_path());
    match (&facts.given, found) {
        (Some(given), found) if !given.join("lib/libtorch_cpu.so").exists() => {
            let instead = match found {
                Some(found) => format!("{} is used", found.display()),
                None => "no other was found".to_owned(),
            };
            Check::failure(
                name,
                format!(
                    "LIBTORCH={} has no lib/libtorch_cpu.so; {instead}",
                    given.display()
                ),
                "unset LIBTORCH    # or set it to the folder that holds libtorch's `lib`",
            )
        }
        (_, Some(found)) => Check::ok(name, found.display().to_string()),
        (_, None) => Check::failure(
            name,
            "none found in LIBTORCH, `.libtorch`, `.venv` or VIRTUAL_ENV",
            INSTALL,
        ),
    }
}

fn version(version: Option<&str>, replace: &str) -> Check {
    let name = "version";
    let known = PAIRS.map(|pair| pair.libtorch).join(", ");
    match version {
        None => Check::failure(
            name,
            "the folder does not tell: it has neither include/torch/headeronly/version.h nor \
             build-version",
            replace,
        ),
        Some(version) => match Pair::of_libtorch(version) {
            Some(pair) => Check::ok(name, format!("{version}, which tch {} binds", pair.tch)),
            None => Check::failure(
                name,
                format!("{version}; explr-sdk works with {known}"),
                replace,
            ),
        },
    }
}

/// Whether the project's crate binds this version.
fn tch(libtorch: Option<&str>, tch: Option<&str>) -> Check {
    let name = "tch of this project";
    let Some(tch) = tch else {
        return Check::not_applicable(name, "no Cargo.lock with tch");
    };
    let Some(libtorch) = libtorch else {
        return Check::not_applicable(name, "libtorch does not tell its version");
    };
    match (Pair::of_tch(tch), Pair::of_libtorch(libtorch)) {
        (None, _) => Check::failure(
            name,
            format!("{tch} in Cargo.lock, which explr-sdk doesn't work with"),
            format!("cargo update -p tch --precise {}.0", PAIRS[0].tch),
        ),
        (Some(wanted), found) if found != Some(wanted) => Check::failure(
            name,
            format!(
                "{tch} in Cargo.lock, which binds libtorch {}",
                wanted.libtorch
            ),
            format!(".venv/bin/pip install torch=={}.0", wanted.libtorch),
        ),
        _ => Check::ok(name, format!("{tch} in Cargo.lock")),
    }
}

fn abi(new: Option<bool>, replace: &str) -> Check {
    let name = "C++ ABI";
    match new {
        Some(true) => Check::ok(name, "cxx11"),
        Some(false) => Check::failure(
            name,
            "built with the ABI from before C++11, which no plugin can be linked to",
            replace,
        ),
        None => Check::failure(name, "lib/libc10.so is missing or is no libtorch", replace),
    }
}

/// What there is for GPUs; whether it fits those of this machine is their
/// section's matter.
fn cuda(found: &Found) -> Check {
    let name = "CUDA";
    if !found.has_cuda {
        return Check::not_applicable(name, "built without");
    }
    let version = found.cuda.map_or_else(
        || "a version that its files don't tell".to_owned(),
        |version| format!("{}.{}", version.0, version.1),
    );
    let list = found.architectures.join(" ");
    let code = if list.is_empty() { "" } else { ", code for " };
    Check::ok(name, format!("{version}{code}{list}"))
}

#[cfg(test)]
mod tests {
    use super::{Facts, Found, abi, architectures, cuda_of, found, has_new_abi, locked_tch};
    use super::{replace, tch, version};
    use crate::verify::version::Version;
    use crate::verify::{Check, Verdict};
    use std::path::{Path, PathBuf};

    fn failed(check: &Check) -> bool {
        matches!(check.verdict, Verdict::Failure { .. })
    }

    #[test]
    fn a_libtorch_variable_that_leads_nowhere_is_a_failure_even_if_another_is_found() {
        let facts = |given: Option<&str>, other: bool| Facts {
            given: given.map(PathBuf::from),
            found: other.then(|| Found {
                folder: "/other".into(),
                version: None,
                has_cuda: false,
                cuda: None,
                new_abi: None,
                architectures: Vec::new(),
                replace: String::new(),
            }),
            tch: None,
        };
        let check = found(&facts(Some("/no/such"), true));
        assert!(failed(&check));
        assert!(check.seen.contains("/no/such"), "{check:?}");
        assert!(check.seen.contains("/other is used"), "{check:?}");
        assert!(failed(&found(&facts(None, false))));
        assert_eq!(found(&facts(None, true)), Check::ok("libtorch", "/other"));
    }

    #[test]
    fn what_is_found_first_has_to_go_before_another_is_installed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join(".libtorch");
        std::os::unix::fs::symlink("/torch", &link).unwrap();
        let given = Path::new("/opt/libtorch");
        assert!(replace(given, Some(given)).starts_with("unset LIBTORCH && python3"));
        assert!(replace(&link, Some(given)).starts_with("rm "));
        assert!(replace(&folder.path().join(".venv/torch"), None).starts_with("python3"));
    }

    #[test]
    fn the_version_is_one_that_the_sdk_works_with() {
        assert_eq!(version(Some("2.10.0"), "").verdict, Verdict::Ok);
        for wrong in [Some("2.1.0"), Some("2.12.0"), Some("2.100.0"), None] {
            assert!(failed(&version(wrong, "")), "{wrong:?}");
        }
    }

    #[test]
    fn tch_and_libtorch_belong_together() {
        assert_eq!(tch(Some("2.10.0"), Some("0.23.0")).verdict, Verdict::Ok);
        assert_eq!(tch(Some("2.10.0"), None).verdict, Verdict::NotApplicable);
        assert_eq!(tch(None, Some("0.23.0")).verdict, Verdict::NotApplicable);
        let check = tch(Some("2.10.0"), Some("0.24.0"));
        let fix = ".venv/bin/pip install torch==2.11.0".to_owned();
        assert_eq!(check.verdict, Verdict::Failure { fix });
        let check = tch(Some("2.10.0"), Some("0.19.0"));
        let fix = "cargo update -p tch --precise 0.23.0".to_owned();
        assert_eq!(check.verdict, Verdict::Failure { fix });
        let lock = "[[package]]\nname = \"tch\"\nversion = \"0.23.0\"\n";
        assert_eq!(locked_tch(lock).as_deref(), Some("0.23.0"));
        assert_eq!(locked_tch("name = \"tchotchke\"\n"), None);
    }

    #[test]
    fn the_abi_is_read_from_the_names_of_symbols() {
        let new = b"\0_ZN3c105ErrorC1ENSt7__cxx1112basic_stringIcE\0";
        assert_eq!(has_new_abi(new), Some(true));
        assert_eq!(has_new_abi(b"\0_ZN3c105ErrorC1ESs\0"), Some(false));
        assert_eq!(has_new_abi(b""), None);
        assert!(failed(&abi(Some(false), "")) && failed(&abi(None, "")));
    }

    #[test]
    fn cuda_is_told_by_wheels_and_archives() {
        let wheel = "debug = False\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n";
        assert_eq!(cuda_of(wheel, ""), Some(Version(12, 8, 0)));
        assert_eq!(cuda_of("", "2.11.0+cu130\n"), Some(Version(13, 0, 0)));
        let cpu = "cuda: Optional[str] = None\nhip: Optional[str] = None\n";
        assert_eq!(cuda_of(cpu, "2.10.0+cpu"), None);
        assert_eq!(cuda_of("", "2.10.0+cu"), None);
    }

    #[test]
    fn the_list_of_gpus_is_found_among_other_text() {
        let library = b"x\0sm_version\0sm_75 sm_90 compute_120\0y";
        assert_eq!(architectures(library), ["sm_75", "sm_90", "compute_120"]);
        assert_eq!(architectures(b"nothing"), Vec::<String>::new());
    }
}
