use crate::Pruned;
use explr_protocol::{FailureClass, TrainError};
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;

/// What a train function and its helpers return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a train function failed.
///
/// `?` turns anything into it that is an error: every
/// [`std::error::Error`], `anyhow::Error`, a `String` or a `&str`. It keeps
/// the chain of causes and remembers where the `?` stood.
///
/// It is not a `std::error::Error` itself, as that is what makes the above
/// possible; [`Error::into_boxed`] gives one.
pub struct Error {
    source: Box<dyn StdError + Send + Sync>,
    location: &'static Location<'static>,
}

impl Error {
    /// An error with a message of its own.
    #[track_caller]
    pub fn new(message: impl fmt::Display) -> Self {
        Self::from(message.to_string())
    }

    /// The error as a `std::error::Error`, without its place in the code.
    pub fn into_boxed(self) -> Box<dyn StdError + Send + Sync> {
        self.source
    }

    /// Whether the study ended the trial, and nothing failed. For a function
    /// that wants to tidy up before it returns the error.
    pub fn is_pruned(&self) -> bool {
        self.pruned().is_some()
    }

    /// The pruner's decision, somewhere in the chain of causes.
    pub(crate) fn pruned(&self) -> Option<&Pruned> {
        let mut next: Option<&(dyn StdError + 'static)> = Some(&*self.source);
        while let Some(error) = next {
            if let Some(pruned) = error.downcast_ref() {
                return Some(pruned);
            }
            next = error.source();
        }
        None
    }

    /// What the journal keeps of it.
    pub(crate) fn into_train_error(self) -> TrainError {
        let message = self.to_string();
        TrainError {
            class: classify(&message).unwrap_or(FailureClass::Error),
            message,
            location: Some(self.location.to_string()),
        }
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Error {
    #[track_caller]
    fn from(error: E) -> Self {
        Self {
            source: error.into(),
            location: Location::caller(),
        }
    }
}

/// The message, and a line `caused by: ...` for each cause.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut message = without_cpp_trace(&self.source.to_string());
        f.write_str(&message)?;
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let next = without_cpp_trace(&error.to_string());
            // Many errors repeat their cause in their own message.
            if !message.contains(&next) {
                write!(f, "\ncaused by: {next}")?;
            }
            message = next;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self}\nat {}", self.location)
    }
}

/// The class of a failure, where its message tells.
pub(crate) fn classify(message: &str) -> Option<FailureClass> {
    const OUT_OF_MEMORY: [&str; 4] = [
        "CUDA out of memory",
        "CUDA error: out of memory",
        "cudaErrorMemoryAllocation",
        // What cuBLAS says when it finds no room for its workspace.
        "CUBLAS_STATUS_ALLOC_FAILED",
    ];
    OUT_OF_MEMORY
        .iter()
        .any(|text| message.contains(text))
        .then_some(FailureClass::CudaOom)
}

/// Leaves out the C++ stack that libtorch appends to its messages: it names
/// no place in the user's code and is some 40 lines long.
pub(crate) fn without_cpp_trace(message: &str) -> String {
    const STARTS: [&str; 3] = [
        "\nException raised from ",
        "\nC++ CapturedTraceback:",
        "\nframe #0: ",
    ];
    let end = STARTS
        .iter()
        .filter_map(|start| message.find(start))
        .min()
        .unwrap_or(message.len());
    message[..end].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Error, Result};
    use explr_protocol::FailureClass;
    use std::error::Error as StdError;
    use std::fmt;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("the file has no number of epochs")
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    fn parse() -> Result<u32> {
        Ok("x".parse::<u32>().map_err(Outer)?)
    }

    #[test]
    fn a_chain_of_causes_is_kept_with_the_place_of_the_question_mark() {
        let error = parse().unwrap_err().into_train_error();
        assert_eq!(error.class, FailureClass::Error);
        assert_eq!(
            error.message,
            "the file has no number of epochs\ncaused by: invalid digit found in string"
        );
        let location = error.location.unwrap();
        let line = line!() - 12;
        assert!(
            location.starts_with(&format!("{}:{line}:", file!())),
            "{location}"
        );
    }

    #[test]
    fn the_place_stays_that_of_the_first_question_mark() {
        fn outer() -> Result<u32> {
            let value = parse()?;
            Ok(value)
        }
        let direct = parse().unwrap_err().location;
        assert_eq!(outer().unwrap_err().location, direct);
    }

    #[test]
    fn texts_and_anyhow_errors_convert_too() {
        fn text() -> Result<()> {
            Err("no data")?;
            Ok(())
        }
        fn anyhow() -> Result<()> {
            Err(anyhow::anyhow!("inner").context("outer"))?;
            Ok(())
        }
        assert_eq!(text().unwrap_err().to_string(), "no data");
        assert_eq!(anyhow().unwrap_err().to_string(), "outer\ncaused by: inner");
    }

    #[test]
    fn a_gpu_without_memory_is_told_apart_and_the_cpp_stack_left_out() {
        let message = "CUDA out of memory. Tried to allocate 20.00 GiB.\n\
                       Exception raised from malloc at CUDACachingAllocator.cpp:1\nframe #0";
        let error = Error::new(message).into_train_error();
        assert_eq!(error.class, FailureClass::CudaOom);
        assert_eq!(
            error.message,
            "CUDA out of memory. Tried to allocate 20.00 GiB."
        );
    }
}
