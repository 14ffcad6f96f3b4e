use std::fmt;

/// Something that is different in explr, or has no counterpart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line of the file that it is about, counted from one; none for the
    /// whole file.
    pub line: Option<usize>,
    /// What there is to know.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}
